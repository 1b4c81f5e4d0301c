"""Pages from memory: made once, named by their bytes, kept only by who may keep them."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jinja2
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from polls.app import create_app
from polls.config.settings import Cache, Config
from polls.storage.postgres.connect import Connection
from polls.web.http.page_cache import Page, RenderedPages
from tests.conftest import Ask, CaughtUp
from tests.support.pages import find, parse, words

PAGES = ["/", "/poll/1", "/poll/1/results"]

ANN = {"Cookie": f"voter={'a' * 32}"}
OWN = {"Date": "", "X-Request-ID": ""}  # each answer has its own
FOR_ALL = "max-age=0, s-maxage=1"


@pytest.fixture
def renderings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the templates that were rendered."""
    names: list[str] = []
    render = jinja2.Template.render

    def counted(self: jinja2.Template, *arguments: Any, **named: Any) -> str:
        names.append(self.name or "")
        return render(self, *arguments, **named)

    monkeypatch.setattr(jinja2.Template, "render", counted)
    return names


async def eventually(client: TestClient, address: str, told: Callable[[str], bool]) -> str:
    """The page, as soon as what was changed by hand has come to it."""
    async with asyncio.timeout(5):
        while not told(page := await (await client.get(address)).text()):
            await asyncio.sleep(0.01)
    return page


@pytest.mark.parametrize("address", PAGES)
async def test_a_burst_of_readers_renders_once(
    client: TestClient, ask: Ask, renderings: list[str], address: str, caught_up: CaughtUp
) -> None:
    ask("Tea?", "Yes", votes=(2,))
    await caught_up(client)

    answers = await asyncio.gather(*(client.get(address) for _ in range(50)))

    assert {answer.status for answer in answers} == {200}
    assert len({await answer.text() for answer in answers}) == 1
    assert len(renderings) == 1


async def test_while_polls_is_developed_each_request_renders(
    config: Config, ask: Ask, aiohttp_client: Any, renderings: list[str]
) -> None:
    client = await aiohttp_client(create_app(replace(config, development=True)))
    ask("Tea?", "Yes")

    for _ in range(3):
        await client.get("/poll/1")

    assert len(renderings) == 3


async def test_each_language_has_its_own_page(
    client: TestClient, ask: Ask, renderings: list[str], caught_up: CaughtUp
) -> None:
    ask("Tea?", "Yes")
    await caught_up(client)

    for _ in range(2):
        for accept in ("en", "zh"):
            await client.get("/", headers={"Accept-Language": accept})

    assert len(renderings) == 2


@pytest.mark.parametrize("address", PAGES)
async def test_who_has_the_page_gets_it_not_again(client: TestClient, ask: Ask, address: str) -> None:
    ask("Tea?", "Yes")
    page = await client.get(address, headers=ANN)
    etag = page.headers["ETag"]

    for known in (etag, f"W/{etag}", f'"other", W/{etag}', "*"):
        answer = await client.get(address, headers={**ANN, "If-None-Match": known})
        assert (answer.status, await answer.read()) == (304, b"")
        for name in ("ETag", "Cache-Control", "Vary", "Content-Security-Policy"):
            assert answer.headers[name] == page.headers[name]
    for unknown in ('"other"', etag.strip('"'), "", '"'):
        assert (await client.get(address, headers={**ANN, "If-None-Match": unknown})).status == 200


async def test_a_page_has_a_new_name_when_it_has_changed(
    client: TestClient, ask: Ask, renderings: list[str], caught_up: CaughtUp
) -> None:
    ask("Tea?", "Yes")
    await caught_up(client)
    before = {address: (await client.get(address, headers=ANN)).headers["ETag"] for address in PAGES}

    answer = await client.post("/poll/1/vote", data={"choice": "1"}, headers=ANN)

    assert answer.status == 200
    client.session.cookie_jar.clear()
    after = {address: (await client.get(address, headers=ANN)).headers["ETag"] for address in PAGES}
    assert [before[address] == after[address] for address in PAGES] == [True, True, False]
    assert renderings == [
        "public/index.html",
        "public/poll.html",
        "public/results.html",
        "public/results.html",
        "public/results.html",
    ]


async def test_the_name_of_a_page_tells_nothing_but_whether_it_is_the_same(
    client: TestClient, ask: Ask, database: Connection, caught_up: CaughtUp
) -> None:
    ask("Tea?", "Yes")
    before = await client.get("/poll/1")

    with database.cursor() as cursor:
        cursor.execute("UPDATE question SET question_text = 'Coffee?'; UPDATE question SET question_text = 'Tea?'")
    await caught_up(client)

    assert (await client.get("/poll/1")).headers["ETag"] == before.headers["ETag"]


@pytest.mark.parametrize("address", PAGES)
@pytest.mark.parametrize("known", [True, False])
async def test_head_tells_what_get_would(client: TestClient, ask: Ask, address: str, known: bool) -> None:
    ask("Tea?", "Yes")
    headers = {**ANN, "If-None-Match": "*"} if known else ANN
    got = await client.get(address, headers=headers)

    answer = await client.head(address, headers=headers)

    assert await answer.read() == b""
    assert answer.status == got.status
    assert {**answer.headers, **OWN} == {**got.headers, **OWN}


@pytest.mark.parametrize(
    ("address", "cookie", "caching"),
    [
        ("/", "", FOR_ALL),
        ("/", f"{ANN['Cookie']}; ballot=1", FOR_ALL),
        ("/poll/1", "", "private, no-cache"),
        ("/poll/1", ANN["Cookie"], "private, no-cache"),
        ("/poll/1", f"{ANN['Cookie']}; ballot=1", "private, no-cache"),
        ("/poll/1/results", "", FOR_ALL),
        ("/poll/1/results", ANN["Cookie"], FOR_ALL),
        ("/poll/1/results", f"{ANN['Cookie']}; ballot=9", FOR_ALL),
        ("/poll/1/results", f"{ANN['Cookie']}; ballot=1", "private, no-cache"),
        ("/poll/1/results?after=1", ANN["Cookie"], "private, no-store"),
        ("/poll/1/results?after=x", ANN["Cookie"], FOR_ALL),
        ("/poll/1/results?other=1", ANN["Cookie"], FOR_ALL),
    ],
)
async def test_who_may_keep_a_page(client: TestClient, ask: Ask, address: str, cookie: str, caching: str) -> None:
    ask("Tea?", "Yes", "No")

    for _ in range(2):
        answer = await client.get(address, headers={"Cookie": cookie} if cookie else {})
        assert answer.headers["Cache-Control"] == caching
        assert answer.headers["Vary"] == "Accept-Language, Cookie"


async def test_nobody_gets_the_page_that_shows_another_voters_choice(client: TestClient, ask: Ask) -> None:
    ask("Tea?", "Yes", "No")

    pages = [
        parse(await (await client.get("/poll/1/results", headers={"Cookie": cookie})).text())
        for cookie in (f"{ANN['Cookie']}; ballot=1", f"voter={'b' * 32}; ballot=2", f"voter={'c' * 32}", "other=1")
    ]

    rows = [[words(row) for row in find(page, "li", class_="result") if "your vote" in words(row)] for page in pages]
    assert [[row.split()[0] for row in of_page] for of_page in rows] == [["Yes"], ["No"], [], []]


@pytest.mark.parametrize("after", ["9" * 18, "9" * 19, "0", "-1", "x", "1.5", "%D9%A1", "", "1&after=2"])
async def test_a_made_up_revision_is_answered_with_the_page_as_it_is(client: TestClient, ask: Ask, after: str) -> None:
    ask("Tea?", "Yes", votes=(2,))

    answer = await client.get(f"/poll/1/results?after={after}")

    assert answer.status == 200
    assert "2 votes in all" in await answer.text()


async def test_an_edit_by_hand_is_on_every_page(client: TestClient, ask: Ask, database: Connection) -> None:
    ask("Tea?", "Yes")
    for address in PAGES:
        await client.get(address)

    with database.cursor() as cursor:
        cursor.execute("UPDATE question SET question_text = 'Coffee?'")

    for address in PAGES:
        assert "Tea?" not in await eventually(client, address, lambda page: "Coffee?" in page)


async def test_a_poll_that_is_deleted_by_hand_is_on_no_page(client: TestClient, ask: Ask, database: Connection) -> None:
    ask("Tea?", "Yes")
    for address in PAGES:
        await client.get(address)

    with database.cursor() as cursor:
        cursor.execute("DELETE FROM question")

    await eventually(client, "/", lambda page: "No polls are available." in page)
    assert [(await client.get(address)).status for address in PAGES] == [200, 404, 404]


async def test_a_scheduled_poll_appears_and_closes_at_its_hour(
    client: TestClient, ask: Ask, database: Connection
) -> None:
    ask("Tea?", "Yes")
    with database.cursor() as cursor:
        cursor.execute(
            "UPDATE question SET pub_date = now() + interval '1 second', closes_at = now() + interval '2 seconds'"
        )
    await eventually(client, "/", lambda page: "Tea?" not in page)
    assert (await client.get("/poll/1")).status == 404

    await eventually(client, "/", lambda page: "Tea?" in page)
    open_page = await client.get("/poll/1", headers=ANN)
    await eventually(client, "/poll/1/results", lambda page: "This poll closed on" in page)

    assert "<form" in await open_page.text()
    closed_page = await client.get("/poll/1", headers={**ANN, "If-None-Match": open_page.headers["ETag"]})
    assert closed_page.status == 200
    assert "<form" not in await closed_page.text()


async def test_more_polls_than_fit_into_memory_are_served_all_the_same(
    config: Config, ask: Ask, aiohttp_client: Any
) -> None:
    client = await aiohttp_client(create_app(replace(config, cache=Cache(polls=2))))
    for number in range(1, 6):
        ask(f"Number {number}?", "Yes")

    for _ in range(2):
        for number in range(1, 6):
            assert f"Number {number}?" in await (await client.get(f"/poll/{number}/results")).text()


@pytest.mark.parametrize("headers", [{"Connection": "close"}, {"X-Nothing": "at all"}])
async def test_a_page_is_the_same_whichever_way_it_is_sent(
    config: Config, ask: Ask, aiohttp_client: Any, headers: dict[str, str]
) -> None:
    """An application that we are mounted in may add headers, and aiohttp writes some: then pages go its way."""
    ask("Tea?", "Yes")
    app = create_app(config)

    async def sign(_: web.Request, response: web.StreamResponse) -> None:
        response.headers["X-Signed"] = "yes"

    plain = await (await aiohttp_client(create_app(config))).get("/", headers=headers)
    app.on_response_prepare.append(sign)
    signed = await (await aiohttp_client(app)).get("/", headers=headers)

    assert await plain.text() == await signed.text()
    assert signed.headers["X-Signed"] == "yes"
    assert {**plain.headers, **OWN, "X-Signed": "yes"} == {**signed.headers, **OWN}


def test_pages_take_no_more_memory_than_they_may() -> None:
    pages, source = RenderedPages(most_bytes=10_000), object()
    for name in range(100):
        pages.put(name, source, Page("x" * 1000, {}))
        pages.put(name, source, Page("y" * 1000, {}))
        pages.get(0, source)

    kept = [name for name in range(100) if pages.get(name, source)]

    assert kept[0] == 0  # asked for all the time
    assert kept[1:] == list(range(100 - len(kept) + 1, 100))
    assert 5 < len(kept) < 10
    assert pages.get(99, object()) is None
