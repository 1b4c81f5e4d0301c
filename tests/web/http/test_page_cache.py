"""The page cache: rendered once, with an ETag, and with a Cache-Control that keeps private pages private."""

import asyncio
import gzip
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import jinja2
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from polls.app import create_app
from polls.config.settings import Cache, Config
from polls.storage.postgres.connect import Connection
from polls.web.http.page_cache import RENDERED_PAGES, VARIANT_PAGES, Page, RenderedPages
from tests.conftest import CaughtUp, CreatePoll
from tests.support.pages import find, parse, words

POLL_PAGES = ["/poll/1", "/poll/1/results"]
PAGES = ["/", *POLL_PAGES]

ANN = {"Cookie": f"polls_voter={'a' * 32}"}
VARYING = {"Date": "", "X-Request-ID": ""}  # differ in each response
SHARED = "max-age=0, s-maxage=1"


@pytest.fixture
def renderings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the templates that are rendered, in order."""
    names: list[str] = []
    render = jinja2.Template.render

    def recorded(self: jinja2.Template, *arguments: Any, **named: Any) -> str:
        names.append(self.name or "")
        return render(self, *arguments, **named)

    monkeypatch.setattr(jinja2.Template, "render", recorded)
    return names


async def eventually(client: TestClient, path: str, condition: Callable[[str], bool]) -> str:
    """Return the page at `path` as soon as it meets `condition`."""
    async with asyncio.timeout(5):
        while not condition(page := await (await client.get(path)).text()):
            await asyncio.sleep(0.01)
    return page


@pytest.mark.parametrize("path", PAGES)
async def test_concurrent_requests_render_a_page_once(
    client: TestClient, create_poll: CreatePoll, renderings: list[str], path: str, caught_up: CaughtUp
) -> None:
    create_poll("Tea?", "Yes", votes=(2,))
    await caught_up(client)

    responses = await asyncio.gather(*(client.get(path) for _ in range(50)))

    assert {response.status for response in responses} == {200}
    assert len({await response.text() for response in responses}) == 1
    assert len(renderings) == 1


async def test_in_development_each_request_renders(
    config: Config, create_poll: CreatePoll, aiohttp_client: Any, renderings: list[str]
) -> None:
    client = await aiohttp_client(create_app(replace(config, development=True)))
    create_poll("Tea?", "Yes")

    for _ in range(3):
        await client.get("/poll/1")

    assert len(renderings) == 3


async def test_each_language_has_its_own_page(
    client: TestClient, create_poll: CreatePoll, renderings: list[str], caught_up: CaughtUp
) -> None:
    create_poll("Tea?", "Yes")
    await caught_up(client)

    for _ in range(2):
        for accept in ("en", "zh"):
            await client.get("/", headers={"Accept-Language": accept})

    assert len(renderings) == 2


@pytest.mark.parametrize("path", PAGES)
async def test_a_request_with_a_current_etag_gets_304(client: TestClient, create_poll: CreatePoll, path: str) -> None:
    create_poll("Tea?", "Yes")
    page = await client.get(path, headers=ANN)
    etag = page.headers["ETag"]

    for current in (etag, f"W/{etag}", f'"other", W/{etag}', "*"):
        response = await client.get(path, headers={**ANN, "If-None-Match": current})
        assert (response.status, await response.read()) == (304, b"")
        for name in ("ETag", "Cache-Control", "Vary", "Content-Security-Policy"):
            assert response.headers[name] == page.headers[name]
        assert [name for name in response.headers if name in {"Content-Type", "Content-Language"}] == []
    closed = await client.get(path, headers={**ANN, "If-None-Match": "*", "Connection": "close"})
    assert (closed.status, closed.headers.get("Content-Type")) == (304, None)
    for other in ('"other"', etag.strip('"'), "", '"'):
        assert (await client.get(path, headers={**ANN, "If-None-Match": other})).status == 200


@pytest.mark.parametrize("path", [*PAGES, "/poll/1/present"])
async def test_pages_that_are_the_same_for_all_are_compressed_once(
    client: TestClient,
    create_poll: CreatePoll,
    caught_up: CaughtUp,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
) -> None:
    create_poll("Tea?", "Yes")
    await caught_up(client)
    compressions = Mock(wraps=gzip.compress)
    monkeypatch.setattr(gzip, "compress", compressions)

    pages = [await client.get(path, headers={**ANN, "Accept-Encoding": "gzip, br"}) for _ in range(3)]
    plain = await client.get(path, headers={**ANN, "Accept-Encoding": "br, gzip;q=0"})

    assert {page.headers.get("Content-Encoding") for page in pages} == {"gzip"}
    assert {page.headers["Content-Length"] for page in pages} == {pages[0].headers["Content-Length"]}
    assert int(pages[0].headers["Content-Length"]) < int(plain.headers["Content-Length"]) / 2
    assert compressions.call_count == 1
    assert "Content-Encoding" not in plain.headers
    assert await plain.text() == await pages[0].text()
    assert plain.headers["Vary"] == pages[0].headers["Vary"] == "Accept-Encoding, Accept-Language, Cookie"


async def test_a_compressed_page_has_its_own_etag(client: TestClient, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes")
    etags = {}
    for encoding in ("gzip", "identity"):
        headers = {**ANN, "Accept-Encoding": encoding}
        etags[encoding] = (await client.get("/poll/1/results", headers=headers)).headers["ETag"]

        again = await client.get("/poll/1/results", headers={**headers, "If-None-Match": f"W/{etags[encoding]}"})

        assert (again.status, again.headers["ETag"]) == (304, etags[encoding])
        assert "Content-Encoding" not in again.headers
    assert etags["gzip"] != etags["identity"]


@pytest.mark.parametrize("path", ["/poll/1", "/poll/1/results"])
async def test_a_page_with_a_voters_choice_is_not_compressed(
    client: TestClient, create_poll: CreatePoll, path: str
) -> None:
    """Its length would tell, to who sees the connection, what the voter chose."""
    create_poll("Tea?", "Yes", "No", votes=(1, 1))
    lengths = []
    for choice in (1, 2):
        cookie = f"{ANN['Cookie']}; polls_ballot_{client.port}={choice}"
        page = await client.get(path, headers={"Cookie": cookie, "Accept-Encoding": "gzip"})
        assert "Content-Encoding" not in page.headers
        lengths.append(page.headers["Content-Length"])

    assert lengths[0] == lengths[1]


async def test_a_changed_page_has_a_new_etag(
    client: TestClient, create_poll: CreatePoll, renderings: list[str], caught_up: CaughtUp
) -> None:
    create_poll("Tea?", "Yes")
    await caught_up(client)
    before = {path: (await client.get(path, headers=ANN)).headers["ETag"] for path in POLL_PAGES}

    response = await client.post("/poll/1/vote", data={"choice": "1"}, headers=ANN)

    assert response.status == 200
    client.session.cookie_jar.clear()
    after = {path: (await client.get(path, headers=ANN)).headers["ETag"] for path in POLL_PAGES}
    assert [before[path] == after[path] for path in POLL_PAGES] == [True, False]
    assert renderings == [
        "public/poll.html",
        "public/results.html",
        "public/results.html",
        "public/results.html",
    ]


async def test_the_etag_depends_on_the_content_alone(
    client: TestClient, create_poll: CreatePoll, database: Connection, caught_up: CaughtUp
) -> None:
    create_poll("Tea?", "Yes")
    before = await client.get("/poll/1")

    with database.cursor() as cursor:
        cursor.execute("UPDATE question SET question_text = 'Coffee?'; UPDATE question SET question_text = 'Tea?'")
    await caught_up(client)

    assert (await client.get("/poll/1")).headers["ETag"] == before.headers["ETag"]


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("is_current", [True, False])
async def test_head_has_the_headers_of_get(
    client: TestClient, create_poll: CreatePoll, path: str, is_current: bool
) -> None:
    create_poll("Tea?", "Yes")
    headers = {**ANN, "If-None-Match": "*"} if is_current else ANN
    got = await client.get(path, headers=headers)

    response = await client.head(path, headers=headers)

    assert await response.read() == b""
    assert response.status == got.status
    assert {**response.headers, **VARYING} == {**got.headers, **VARYING}


@pytest.mark.parametrize(
    ("path", "cookie", "cache_control"),
    [
        ("/", "", SHARED),
        ("/", f"{ANN['Cookie']}; polls_ballot_80=1", SHARED),
        ("/poll/1", "", "private, no-cache"),
        ("/poll/1", ANN["Cookie"], "private, no-cache"),
        ("/poll/1", f"{ANN['Cookie']}; polls_ballot_80=1", "private, no-cache"),
        ("/poll/1/results", "", SHARED),
        ("/poll/1/results", ANN["Cookie"], SHARED),
        ("/poll/1/results", f"{ANN['Cookie']}; polls_ballot_80=9", SHARED),
        ("/poll/1/results", f"{ANN['Cookie']}; polls_ballot_80=1", "private, no-cache"),
        ("/poll/1/results?after=1", ANN["Cookie"], "private, no-store"),
        ("/poll/1/results?after=x", ANN["Cookie"], SHARED),
        ("/poll/1/results?other=1", ANN["Cookie"], SHARED),
    ],
)
async def test_cache_control_depends_on_the_page_and_its_cookies(
    client: TestClient, create_poll: CreatePoll, path: str, cookie: str, cache_control: str
) -> None:
    create_poll("Tea?", "Yes", "No")

    for _ in range(2):
        response = await client.get(path, headers={"Host": "polls:80", "Cookie": cookie})
        assert response.headers["Cache-Control"] == cache_control
        assert response.headers["Vary"] == "Accept-Encoding, Accept-Language, Cookie"


async def test_the_page_with_a_voters_choice_is_not_served_to_others(
    client: TestClient, create_poll: CreatePoll
) -> None:
    create_poll("Tea?", "Yes", "No")

    pages = [
        parse(await (await client.get("/poll/1/results", headers={"Host": "polls:80", "Cookie": cookie})).text())
        for cookie in (
            f"{ANN['Cookie']}; polls_ballot_80=1",
            f"polls_voter={'b' * 32}; polls_ballot_80=2",
            f"polls_voter={'c' * 32}",
            "other=1",
        )
    ]

    rows = [[words(row) for row in find(page, "li", class_="result") if "your vote" in words(row)] for page in pages]
    assert [[row.split()[0] for row in own_rows] for own_rows in rows] == [["Yes"], ["No"], [], []]


async def test_made_up_ballots_and_hosts_evict_no_page_that_is_the_same_for_all(
    client: TestClient, create_poll: CreatePoll, caught_up: CaughtUp
) -> None:
    create_poll("Tea?", *(f"Choice {number}" for number in range(100)))
    await caught_up(client)
    assert client.app
    shared = client.app[RENDERED_PAGES]
    for path in PAGES:
        await client.get(path)
    size = shared.size
    assert size > 5_000

    for number in range(1, 50):
        cookie = {"Host": "polls:80", "Cookie": f"{ANN['Cookie']}; polls_ballot_80={number}.{number + 1}"}
        for path in PAGES[1:]:
            assert (await client.get(path, headers=cookie)).status == 200
        assert (await client.get("/poll/1/present", headers={"Host": f"host{number}"})).status == 200

    assert shared.size == size
    assert client.app[VARIANT_PAGES].size > size


@pytest.mark.parametrize("after", ["9" * 18, "9" * 19, "0", "-1", "x", "1.5", "%D9%A1", "", "1&after=2"])
async def test_an_unknown_revision_is_answered_with_the_current_page(
    client: TestClient, create_poll: CreatePoll, after: str
) -> None:
    create_poll("Tea?", "Yes", votes=(2,))

    response = await client.get(f"/poll/1/results?after={after}")

    assert response.status == 200
    assert "2 votes in all" in await response.text()


async def test_an_edit_in_sql_appears_on_every_page(
    client: TestClient, create_poll: CreatePoll, database: Connection
) -> None:
    create_poll("Tea?", "Yes")
    for path in PAGES:
        await client.get(path)

    with database.cursor() as cursor:
        cursor.execute("UPDATE question SET question_text = 'Coffee?'")

    for path in PAGES:
        assert "Tea?" not in await eventually(client, path, lambda page: "Coffee?" in page)


async def test_a_poll_deleted_in_sql_disappears_from_every_page(
    client: TestClient, create_poll: CreatePoll, database: Connection
) -> None:
    create_poll("Tea?", "Yes")
    for path in PAGES:
        await client.get(path)

    with database.cursor() as cursor:
        cursor.execute("DELETE FROM question")

    await eventually(client, "/", lambda page: "There are no polls yet." in page)
    assert [(await client.get(path)).status for path in PAGES] == [200, 404, 404]


async def test_a_scheduled_poll_appears_and_closes_on_time(
    client: TestClient, create_poll: CreatePoll, database: Connection
) -> None:
    create_poll("Tea?", "Yes")
    with database.cursor() as cursor:
        cursor.execute("UPDATE question SET pub_date = now() + interval '1 second'")
    await eventually(client, "/", lambda page: "Tea?" not in page)
    assert (await client.get("/poll/1")).status == 404

    await eventually(client, "/", lambda page: "Tea?" in page)
    await eventually(client, "/poll/1", lambda page: "<form" in page)
    open_page = await client.get("/poll/1", headers=ANN)
    with database.cursor() as cursor:
        cursor.execute("UPDATE question SET closes_at = now() + interval '1 second'")
    await eventually(client, "/poll/1/results", lambda page: "This poll closed on" in page)

    assert "<form" in await open_page.text()
    closed_page = await client.get("/poll/1", headers={**ANN, "If-None-Match": open_page.headers["ETag"]})
    assert closed_page.status == 200
    assert "<form" not in await closed_page.text()


async def test_polls_beyond_the_cache_size_are_served(
    config: Config, create_poll: CreatePoll, aiohttp_client: Any
) -> None:
    client = await aiohttp_client(create_app(replace(config, cache=Cache(polls=2))))
    for number in range(1, 6):
        create_poll(f"Number {number}?", "Yes")

    for _ in range(2):
        for number in range(1, 6):
            assert f"Number {number}?" in await (await client.get(f"/poll/{number}/results")).text()


@pytest.mark.parametrize("headers", [{"Connection": "close"}, {"X-Nothing": "at all"}])
async def test_a_prebuilt_page_equals_one_sent_by_aiohttp(
    config: Config, create_poll: CreatePoll, aiohttp_client: Any, headers: dict[str, str]
) -> None:
    """aiohttp sends a page if an outer application has an `on_response_prepare` handler, or for `Connection: close`."""
    create_poll("Tea?", "Yes")
    app = create_app(config)

    async def add_header(_: web.Request, response: web.StreamResponse) -> None:
        response.headers["X-Added"] = "yes"

    plain = await (await aiohttp_client(create_app(config))).get("/", headers=headers)
    app.on_response_prepare.append(add_header)
    extended = await (await aiohttp_client(app)).get("/", headers=headers)

    assert await plain.text() == await extended.text()
    assert extended.headers["X-Added"] == "yes"
    assert {**plain.headers, **VARYING, "X-Added": "yes"} == {**extended.headers, **VARYING}


def test_the_least_recently_used_pages_are_evicted_beyond_max_bytes() -> None:
    pages, source = RenderedPages(max_bytes=10_000), object()
    for key in range(100):
        pages.put(key, source, Page(b"x" * 1000, {}))
        pages.put(key, source, Page(b"y" * 1000, {}))
        pages.get(0, source)

    kept = [key for key in range(100) if pages.get(key, source)]

    assert kept[0] == 0  # used all the time
    assert kept[1:] == list(range(100 - len(kept) + 1, 100))
    assert 5 < len(kept) < 10
    assert pages.get(99, object()) is None


def test_a_page_is_rendered_again_after_a_minute_so_that_words_such_as_yesterday_stay_true() -> None:
    seconds = iter([0.0, 59.9, 60.0])
    pages, source = RenderedPages(10_000, clock=lambda: next(seconds)), object()

    pages.put("results", source, Page(b"in 2 hours", {}))

    assert pages.get("results", source)
    assert pages.get("results", source) is None
