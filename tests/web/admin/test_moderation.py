"""Where the public finds a poll: admins list and unlist polls, take them down and put them back up."""

from typing import Any

import pytest

from polls.domain.permissions import Person
from polls.storage import moderation
from polls.storage.postgres.connect import Connection
from polls.web.keys import DATABASE
from tests.conftest import CaughtUp, CreatePoll
from tests.support.pages import fields, find, links, parse, words
from tests.web.conftest import Client

SELECTED = "/admin/polls/selected"


@pytest.fixture
def three_polls(create_poll: CreatePoll, database: Connection) -> None:
    """A listed poll, an unlisted one and a hidden one."""
    create_poll("Tea?", "Yes")
    create_poll("Cake?", "Yes", slug="k7m2q9xdtb")
    create_poll("Juice?", "Yes")
    with database.cursor() as cursor:
        cursor.execute("UPDATE question SET hidden_at = now() WHERE id = 3")


async def act(browser: Client, do: str, *ids: int) -> str:
    """Run an action on polls, and return the message on the next page."""
    sent = [("do", do), *(("poll", str(id_)) for id_ in ids)]
    confirmation = parse(await (await browser.post(SELECTED, data=sent)).text())
    response = await browser.post(SELECTED, data=fields(confirmation, SELECTED))
    (flash,) = find(parse(await response.text()), "p", class_="flash", role="status")
    return words(flash)


def stored(database: Connection) -> list[Any]:
    with database.cursor() as cursor:
        cursor.execute("SELECT slug, is_listed, hidden_at IS NULL FROM question ORDER BY id")
        return cursor.fetchall()


def history(database: Connection) -> list[Any]:
    with database.cursor() as cursor:
        cursor.execute("SELECT actor, deed, subject, changes FROM history WHERE subject LIKE 'poll:%' ORDER BY id")
        return cursor.fetchall()


@pytest.mark.usefixtures("three_polls")
async def test_the_list_is_filtered_by_where_the_public_finds_a_poll(ada: Client) -> None:
    found = {}
    for visibility in ("", "listed", "unlisted", "hidden", "nonsense"):
        page = parse(await (await ada.get(f"/admin/?visibility={visibility}")).text())
        found[visibility] = sorted(int(box.get("value", "")) for box in find(page, "input", name="poll"))

    assert found == {"": [1, 2, 3], "listed": [1], "unlisted": [2], "hidden": [3], "nonsense": [1, 2, 3]}


@pytest.mark.usefixtures("three_polls")
async def test_each_row_says_it_and_leads_to_the_poll_at_its_address(ada: Client) -> None:
    page = parse(await (await ada.get("/admin/?sort=text")).text())

    assert [words(cell) for cell in find(page, "td", class_="column-state")] == [
        "Open, unlisted",
        "Open, taken down",
        "Open",
    ]
    results = [links(cell)["Results"] for cell in find(page, "td", class_="column-pages")]
    assert results == ["../poll/k7m2q9xdtb/results", "../poll/3/results", "../poll/1/results"]


@pytest.mark.usefixtures("three_polls")
async def test_an_unlisted_poll_is_listed_at_the_same_address(
    ada: Client, client: Client, database: Connection, caught_up: CaughtUp
) -> None:
    message = await act(ada, "list", 1, 2)

    assert message == "The poll was listed. 1 other was listed already."
    await caught_up(client)
    assert "/poll/k7m2q9xdtb" in await (await client.get("/")).text()
    assert (await client.get("/poll/2")).status == 404
    assert history(database) == [("admin:ada", "listed", "poll:2", [])]


@pytest.mark.usefixtures("three_polls")
async def test_a_poll_that_is_taken_off_the_list_is_no_longer_at_its_number(
    ada: Client, client: Client, database: Connection, caught_up: CaughtUp
) -> None:
    message = await act(ada, "unlist", 1, 2)

    assert message == "The poll was taken off the list. 1 other wasn't listed."
    (slug, is_listed, _), (other, *_), _ = stored(database)
    assert (len(slug), is_listed, other) == (10, False, "k7m2q9xdtb")
    await caught_up(client)
    assert "Tea?" not in await (await client.get("/")).text()
    assert [(await client.get(f"/poll/{address}")).status for address in (1, slug)] == [404, 200]
    assert history(database) == [("admin:ada", "unlisted", "poll:1", [["address", None, slug]])]


@pytest.mark.usefixtures("three_polls")
async def test_a_poll_is_taken_down_and_put_back_up(
    ada: Client, client: Client, database: Connection, caught_up: CaughtUp
) -> None:
    assert await act(ada, "hide", 1, 3) == "The poll was taken down. 1 other was taken down already."
    await caught_up(client)
    assert (await client.get("/poll/1")).status == 410
    assert (await client.post("/poll/1/vote", data={"choice": "1"})).status == 410

    assert await act(ada, "show", 1, 2) == "The poll was put back up. 1 other wasn't taken down."
    await caught_up(client)
    assert (await client.post("/poll/1/vote", data={"choice": "1"}, allow_redirects=False)).status == 303
    assert [entry[:3] for entry in history(database)] == [
        ("admin:ada", "hidden", "poll:1"),
        ("admin:ada", "shown", "poll:1"),
    ]


@pytest.mark.usefixtures("three_polls")
async def test_nothing_to_do_is_said(ada: Client) -> None:
    assert await act(ada, "list", 1) == "The poll was listed already."
    assert await act(ada, "unlist", 2) == "The poll wasn't listed."
    assert await act(ada, "hide", 3) == "The poll was taken down already."
    assert await act(ada, "show", 1) == "The poll wasn't taken down."


@pytest.mark.usefixtures("three_polls")
async def test_the_poll_itself_offers_the_actions(ada: Client) -> None:
    offered = {"List", "Take off the list", "Take down", "Put back up"}
    pages = [parse(await (await ada.get(f"/admin/polls/{number}")).text()) for number in (1, 2, 3)]

    assert [offered & links(page).keys() for page in pages] == [
        {"Take off the list", "Take down"},
        {"List", "Take down"},
        {"Take off the list", "Put back up"},
    ]
    url = links(pages[0])["Take down"]
    confirmation = parse(await (await ada.get(url)).text())
    assert words(next(confirmation.iter("h1"))) == "Take this poll down?"


@pytest.mark.usefixtures("three_polls")
async def test_others_than_admins_may_not(ada: Client, database: Connection) -> None:
    pool, before = ada.app[DATABASE], stored(database)  # type: ignore[union-attr]

    for action in (moderation.make_listed, moderation.unlist, moderation.take_down, moderation.put_back_up):
        assert await action(pool, Person("visitor"), [1, 2, 3]) == 0
    assert stored(database) == before
