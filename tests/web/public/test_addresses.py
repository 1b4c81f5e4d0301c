"""Addresses of polls: a poll with a custom slug is at it, on every route, and at its id nowhere."""

import re
from typing import Any

import pytest
from aiohttp import WSMsgType
from aiohttp.test_utils import TestClient

from polls.domain.slugs import CUSTOM_SLUG, new_slug
from polls.storage.postgres.connect import Connection
from polls.web.routes import POLL, VIEWS
from tests.conftest import CaughtUp, CreatePoll
from tests.support.pages import find, parse, words
from tests.web.conftest import Client, Serve

SLUG = "k7m2q9xdtb"
PAGES = [path.removeprefix(POLL) for path, _, _ in VIEWS if path.startswith(POLL)]
MADE_UP = {"action": "close", "key": "a" * 26}  # parts of a route after the slug


async def statuses(client: TestClient[Any, Any], slug: str) -> dict[str, int]:
    """Return the status of each route below a poll, by method and path."""
    found = {}
    for page in PAGES:
        path = re.sub(r"\{(\w+)[^/]*\}", lambda part: MADE_UP[part[1]], page)
        for method in ("GET", "POST"):
            response = await client.request(
                method, f"/poll/{slug}{path}", data={"choice": "1"} if method == "POST" else None, allow_redirects=False
            )
            found[f"{method} {path}"] = response.status
    return found


async def test_a_poll_with_a_word_is_at_its_word(client: TestClient, create_poll: CreatePoll, votes: Any) -> None:
    create_poll("Tea?", "Yes", slug=SLUG)

    found = await statuses(client, SLUG)

    pages = ("GET ", "GET /results", "GET /present", "GET /qr.svg", "POST /vote")
    assert [found[page] for page in pages] == [200, 200, 200, 200, 303]
    assert votes() == [1]
    async with client.ws_connect(f"/poll/{SLUG}/live") as socket:
        assert (await socket.receive_json(timeout=5))["ballots"] == 1


@pytest.mark.parametrize("is_listed", [False, True])
async def test_its_number_is_not_found_on_any_route(
    client: TestClient, create_poll: CreatePoll, votes: Any, *, is_listed: bool
) -> None:
    create_poll("Tea?", "Yes", slug=SLUG, is_listed=is_listed)
    methods = await statuses(client, SLUG)  # in a process that knows the poll by now
    before = votes()

    found = await statuses(client, "1")

    assert found == {route: 405 if status == 405 else 404 for route, status in methods.items()}
    assert votes() == before


async def test_its_number_is_not_found_in_a_process_that_has_never_seen_it(
    serve: Serve, create_poll: CreatePoll, votes: Any
) -> None:
    create_poll("Tea?", "Yes", slug=SLUG)
    client = await serve()

    # The vote comes first: nothing has read the poll.
    assert (await client.post("/poll/1/vote", data={"choice": "1"}, allow_redirects=False)).status == 404
    assert votes() == [0]
    assert set((await statuses(await serve(), "1")).values()) == {404, 405}
    assert votes() == [0]


async def test_a_vote_at_a_word_counts_in_a_process_that_has_never_seen_it(
    serve: Serve, create_poll: CreatePoll, votes: Any
) -> None:
    create_poll("Tea?", "Yes", slug="team-lunch", is_listed=True)

    response = await (await serve()).post("/poll/team-lunch/vote", data={"choice": "1"}, allow_redirects=False)

    assert (response.status, response.headers["Location"]) == (303, "/poll/team-lunch/results?after=3")
    assert votes() == [1]


async def test_a_word_that_no_poll_has_is_not_found(client: TestClient, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes")

    assert set((await statuses(client, "team-lunch")).values()) == {404, 405}


async def test_an_address_that_was_changed_is_followed_at_once(
    client: TestClient, create_poll: CreatePoll, database: Connection, caught_up: CaughtUp, votes: Any
) -> None:
    create_poll("Tea?", "Yes", slug="first")
    create_poll("Cake?", "Yes", slug="second")
    assert (await client.get("/poll/first")).status == 200
    assert (await client.get("/poll/second")).status == 200
    with database.cursor() as cursor:
        cursor.execute(
            "UPDATE question SET slug = 'third' WHERE id = 1; UPDATE question SET slug = 'first' WHERE id = 2"
        )
    await caught_up(client)

    assert "Cake?" in await (await client.get("/poll/first")).text()
    assert "Tea?" in await (await client.get("/poll/third")).text()
    assert (await client.get("/poll/second")).status == 404
    assert (await client.post("/poll/first/vote", data={"choice": "2"}, allow_redirects=False)).status == 303
    assert votes() == [0, 1]


async def test_only_words_and_numbers_are_addresses(client: TestClient) -> None:
    for slug in ("ab", "Team", "a" * 41, "1a", "-ab", "a_b", "0", "caf%C3%A9"):
        assert (await client.get(f"/poll/{slug}")).status == 404


def test_random_slugs_are_words_that_do_not_repeat() -> None:
    slugs = {new_slug() for _ in range(1000)}

    assert len(slugs) == 1000
    assert all(re.fullmatch(CUSTOM_SLUG, slug) and re.fullmatch("[a-z0-9]{10}", slug) for slug in slugs)


def test_the_database_has_the_same_words(database: Connection) -> None:
    with database.cursor() as cursor:
        cursor.execute("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'address_check'")
        ((definition,),) = cursor.fetchall()

    assert f"'^{CUSTOM_SLUG}$'" in definition


async def test_an_unlisted_poll_is_in_no_list_no_search_and_no_file_for_robots(
    client: Client, create_poll: CreatePoll
) -> None:
    create_poll("Tea?", "Yes", slug=SLUG)
    create_poll("Cake?", "Yes")

    for path in ("/", "/?state=open", "/?q=tea", f"/?q={SLUG}", "/?page=2", "/robots.txt", "/manifest.webmanifest"):
        text = await (await client.get(path)).text()
        assert "Tea?" not in text
        assert f"/poll/{SLUG}" not in text


async def test_search_engines_are_told_to_leave_an_unlisted_poll_out(client: Client, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes", slug=SLUG)
    create_poll("Cake?", "Yes")
    pages = ("", "/results", "/present", "/share", "/qr.svg", "/qr.png")

    unlisted = [await client.get(f"/poll/{SLUG}{page}") for page in pages]
    listed = [await client.get(f"/poll/2{page}") for page in pages]

    assert [response.headers.get("X-Robots-Tag") for response in unlisted] == ["noindex"] * len(pages)
    assert [response.headers.get("X-Robots-Tag") for response in listed] == [None] * len(pages)
    page = parse(await unlisted[0].text())
    assert [tag.get("content") for tag in find(page, "meta", name="robots")] == ["noindex"]
    assert [tag.get("content") for tag in find(page, "meta", property="og:title")] == ["Tea?"]  # for link previews


async def test_a_hidden_poll_is_gone_on_every_route_and_takes_no_votes(
    serve: Serve, create_poll: CreatePoll, database: Connection, votes: Any
) -> None:
    create_poll("Tea?", "Yes")
    with database.cursor() as cursor:
        cursor.execute("UPDATE question SET hidden_at = now()")
    client = await serve()

    assert (await client.post("/poll/1/vote", data={"choice": "1"})).status == 410  # nothing has read the poll
    found = await statuses(client, "1")
    assert set(found.values()) <= {404, 405, 410}
    public = ("GET ", "GET /results", "GET /present", "GET /qr.svg", "GET /live", "GET /vote", "POST /vote")
    assert {page: found[page] for page in public} == dict.fromkeys(public, 410)
    page = parse(await (await client.get("/poll/1")).text())
    assert "Poll taken down" in words(next(page.iter("main")))
    assert "Tea?" not in await (await client.get("/")).text()
    assert votes() == [0]


async def test_an_admin_sees_a_hidden_poll_marked_as_hidden(
    ada: Client, create_poll: CreatePoll, database: Connection
) -> None:
    create_poll("Tea?", "Yes")
    with database.cursor() as cursor:
        cursor.execute("UPDATE question SET hidden_at = now()")

    response = await ada.get("/poll/1")

    assert response.status == 200
    assert "no-store" in response.headers["Cache-Control"]
    assert "taken down" in words(find(parse(await response.text()), "p", class_="note")[0])


async def test_the_sockets_of_a_poll_are_closed_when_it_is_hidden(
    client: Client, create_poll: CreatePoll, database: Connection
) -> None:
    create_poll("Tea?", "Yes")
    async with client.ws_connect("/poll/1/live") as socket:
        await socket.receive_json(timeout=5)

        with database.cursor() as cursor:
            cursor.execute("UPDATE question SET hidden_at = now()")

        assert (await socket.receive(timeout=5)).type is WSMsgType.CLOSE
