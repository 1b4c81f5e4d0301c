"""Actions on selected polls: each needs a confirmation that says what is removed, and is recorded in history."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from polls.config.settings import Postgres
from polls.storage.postgres.connect import Connection, connect
from polls.storage.recount import recount
from polls.web.pages.confirmation import ConfirmView
from tests.conftest import CaughtUp, CreatePoll
from tests.support.pages import fields, find, parse, words
from tests.web.conftest import Client

SELECTED = "/admin/polls/selected"


@pytest.fixture
def three_polls(create_poll: CreatePoll) -> None:
    """An open, a closed and a scheduled poll."""
    create_poll("Tea?", "Yes", "No", votes=(2, 1))
    create_poll("Coffee?", "Yes", "No", closed=timedelta(hours=1), votes=(4, 0))
    create_poll("Juice?", "Yes", "No", ago=-timedelta(days=1))


async def select(browser: Client, do: str, *ids: int, **more: str) -> Any:
    sent = [("do", do), *(("poll", str(id_)) for id_ in ids), *more.items()]
    return await browser.post(SELECTED, data=sent, allow_redirects=False)


async def confirm(browser: Client, confirmation: Any) -> str:
    """Confirm the action and return the message on the next page."""
    response = await browser.post(SELECTED, data=fields(parse(await confirmation.text()), SELECTED))
    (flash,) = find(parse(await response.text()), "p", class_="flash", role="status")
    return words(flash)


def ended_polls(database: Connection) -> list[bool]:
    """Return for each poll whether it has ended."""
    with database.cursor() as cursor:
        cursor.execute("SELECT coalesce(closes_at <= clock_timestamp(), false) FROM question ORDER BY id")
        return [ended for (ended,) in cursor.fetchall()]


def history(database: Connection) -> list[Any]:
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT actor, deed, subject, changes::text FROM history WHERE subject LIKE 'poll:%' ORDER BY id"
        )
        return cursor.fetchall()


@pytest.mark.usefixtures("three_polls")
@pytest.mark.parametrize("do", ["close", "reopen", "clear", "delete"])
async def test_nothing_is_done_before_the_confirmation(ada: Client, database: Connection, do: str) -> None:
    response = await select(ada, do, 1, 2, 3, back="/admin/?sort=text")

    page = parse(await response.text())
    assert response.status == 200
    shown = words(find(page, "main")[0])
    for words_ in ("Tea?", "2 choices · 3 ballots", "Coffee?", "2 choices · 4 ballots", "Juice?"):
        assert words_ in shown
    assert fields(page, SELECTED)["back"] == "/admin/?sort=text"
    assert ended_polls(database) == [False, True, False]
    assert history(database) == []


@pytest.mark.usefixtures("three_polls")
async def test_open_polls_are_closed(ada: Client, database: Connection, client: Client, caught_up: CaughtUp) -> None:
    message = await confirm(ada, await select(ada, "close", 1, 2, 3))

    assert message == "The poll was closed. 2 others weren't open."
    assert ended_polls(database) == [True, True, False]
    await caught_up(client)
    assert "This poll closed on" in await (await client.get("/poll/1")).text()
    assert (await client.post("/poll/1/vote", data={"choice": "1"})).status == 403
    assert [entry[:3] for entry in history(database)] == [("admin:ada", "closed", "poll:1")]


@pytest.mark.usefixtures("three_polls")
async def test_closed_polls_are_reopened(
    ada: Client, database: Connection, client: Client, caught_up: CaughtUp
) -> None:
    message = await confirm(ada, await select(ada, "reopen", 1, 2, 3))

    assert message == "The poll was reopened. 2 others weren't closed."
    assert ended_polls(database) == [False, False, False]
    await caught_up(client)
    assert (await client.post("/poll/2/vote", data={"choice": "3"}, allow_redirects=False)).status == 303
    assert [entry[:3] for entry in history(database)] == [("admin:ada", "reopened", "poll:2")]


@pytest.mark.usefixtures("three_polls")
async def test_ballots_are_cleared(
    ada: Client, database: Connection, client: Client, caught_up: CaughtUp, postgres: Postgres
) -> None:
    message = await confirm(ada, await select(ada, "clear", 1, 3))

    assert message == "The ballots of the poll were cleared. 1 other had no ballots."
    await caught_up(client)
    assert "0 votes in all" in await (await client.get("/poll/1/results")).text()
    assert "4 votes in all" in await (await client.get("/poll/2/results")).text()
    assert history(database) == [("admin:ada", "cleared", "poll:1", '[["ballots", "3", "0"]]')]
    with connect(postgres) as connection:
        assert all(poll.is_exact for poll in recount(connection))


async def test_a_cleared_poll_no_longer_says_that_it_was_edited(
    ada: Client, database: Connection, client: Client, caught_up: CaughtUp, create_poll: CreatePoll
) -> None:
    """Neither in the database nor in the cache: without votes no edit can have misled a voter."""
    create_poll("Tea?", "Yes", "No", votes=(2, 1))
    with database.cursor() as cursor:
        cursor.execute("UPDATE question SET question_text = 'Coffee?'")
    await caught_up(client)
    assert "after voting had started" in await (await client.get("/poll/1/results")).text()

    await select(ada, "clear", 1, confirmed="yes")

    async with asyncio.timeout(5):
        while "when votes had been cast" in await (await client.get("/poll/1/results")).text():
            await asyncio.sleep(0.01)


@pytest.mark.usefixtures("three_polls")
async def test_polls_are_deleted_with_everything_except_their_history(
    ada: Client, database: Connection, client: Client, caught_up: CaughtUp
) -> None:
    message = await confirm(ada, await select(ada, "delete", 1, 3))

    assert message == "2 polls were deleted."
    await caught_up(client)
    assert [(await client.get(f"/poll/{number}")).status for number in (1, 2)] == [404, 200]
    with database.cursor() as cursor:
        cursor.execute("SELECT (SELECT count(*) FROM choice), (SELECT count(*) FROM ballot)")
        assert cursor.fetchone() == (2, 4)
    page = await (await ada.get("/admin/polls/1/history")).text()
    for text in ("This poll was deleted. Its history is kept.", "“Tea?” removed", "ada"):
        assert text in words(parse(page))


@pytest.mark.usefixtures("three_polls")
async def test_one_poll_is_deleted_from_its_own_page(ada: Client, database: Connection) -> None:
    page = parse(await (await ada.get("/admin/polls/1/delete")).text())
    assert "2 choices · 3 ballots" in words(page)

    response = await ada.post("/admin/polls/1/delete", allow_redirects=False)

    assert (response.status, response.headers["Location"]) == (303, "/admin/")
    assert ended_polls(database) == [True, False]
    assert (await ada.post("/admin/polls/1/delete")).status == 404


@pytest.mark.usefixtures("three_polls")
@pytest.mark.parametrize(
    ("do", "ids", "message"),
    [
        ("close", (2, 3), "None of the selected polls was open. Nothing was closed."),
        ("reopen", (1, 3), "None of the selected polls was closed. Nothing was reopened."),
        ("clear", (3,), "The poll had no ballots. Nothing was cleared."),
        ("delete", (99,), "The poll no longer exists. Nothing was deleted."),
        ("close", (), "Select at least one poll and an action."),
        ("dance", (1,), "Select at least one poll and an action."),
        ("", (1,), "Select at least one poll and an action."),
    ],
)
async def test_a_message_says_why_nothing_was_done(
    ada: Client, database: Connection, do: str, ids: tuple[int, ...], message: str
) -> None:
    response = await select(ada, do, *ids, confirmed="yes", back="/admin/?sort=text")

    assert (response.status, response.headers["Location"]) == (303, "/admin/?sort=text")
    (flash,) = find(parse(await (await ada.get("/admin/")).text()), "p", class_="flash")
    tone, role = ("problem", "alert") if message.startswith("Select") else ("note", "status")
    assert (words(flash), flash.get("class"), flash.get("role")) == (message, f"flash {tone}", role)
    assert history(database) == []


def two_pages(database: Connection) -> None:
    """Add 120 polls "x" to the three."""
    with database.cursor() as cursor:
        cursor.execute("INSERT INTO question (question_text, pub_date) SELECT 'x', now() FROM generate_series(1, 120)")


async def select_matching(browser: Client, do: str, url: str) -> Any:
    """Choose an action for all polls that match, on the page `url` of the list."""
    page = parse(await (await browser.get(url)).text())
    (matching,) = find(page, "input", name="matching")
    return await browser.post(SELECTED, data={"do": do, "back": url, "matching": matching.get("value", "")})


@pytest.mark.usefixtures("three_polls")
@pytest.mark.parametrize(
    ("url", "heading", "shown", "kept"),
    [
        ("/admin/", "Delete 123 polls?", "Juice?", []),
        ("/admin/?q=x&state=open&sort=text&page=2", "Delete 120 polls?", "0 ballots in all", [1, 2, 3]),
    ],
)
async def test_an_action_on_all_that_match_names_the_first_and_counts_all(
    ada: Client, database: Connection, url: str, heading: str, shown: str, kept: list[int]
) -> None:
    two_pages(database)

    confirmation = await select_matching(ada, "delete", url)

    page = parse(await confirmation.text())
    assert words(find(page, "h1")[0]) == heading
    assert shown in words(page)
    assert len(find(page, "li", class_="card")) == 12
    count = int(heading.split()[1])
    assert f"and {count - 12} more" in words(page)
    assert await confirm(ada, confirmation) == f"{count} polls were deleted."
    with database.cursor() as cursor:
        cursor.execute("SELECT id FROM question ORDER BY id")
        assert [id_ for (id_,) in cursor.fetchall()] == kept
        cursor.execute("SELECT count(*) FROM history WHERE deed = 'deleted'")
        assert cursor.fetchone() == (count,)


@pytest.mark.usefixtures("three_polls")
async def test_polls_that_appear_or_vanish_before_the_confirmation_are_left_alone(
    ada: Client, database: Connection
) -> None:
    two_pages(database)
    confirmation = await select_matching(ada, "delete", "/admin/?q=x")
    with database.cursor() as cursor:
        cursor.execute("DELETE FROM question WHERE id IN (4, 5)")
        cursor.execute("INSERT INTO question (question_text, pub_date) VALUES ('x', now())")

    message = await confirm(ada, confirmation)

    assert message == "118 polls were deleted. 2 others no longer existed."
    with database.cursor() as cursor:
        cursor.execute("SELECT id FROM question WHERE question_text = 'x'")
        assert cursor.fetchall() == [(124,)]


@pytest.mark.usefixtures("three_polls")
async def test_an_action_that_takes_too_long_asks_to_go_on(
    ada: Client, database: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_pages(database)
    monkeypatch.setattr(ConfirmView, "max_seconds", 0)
    response = await select_matching(ada, "close", "/admin/")

    seen = []
    for _ in range(2):
        response = await ada.post(SELECTED, data=fields(parse(await response.text()), SELECTED))
        page = parse(await response.text())
        seen.append(words(find(page, "p", class_="flash")[0]) + " " + words(find(page, "h1")[0]))
    assert await confirm(ada, response) == "121 polls were closed. 2 others weren't open."

    assert seen == [
        "48 polls were closed. 2 others weren't open. Close 73 polls?",
        "98 polls were closed. 2 others weren't open. Close 23 polls?",
    ]


async def test_more_polls_than_can_be_counted_cannot_be_selected(ada: Client, database: Connection) -> None:
    with database.cursor() as cursor:
        cursor.execute(
            "INSERT INTO question (question_text, pub_date) SELECT 'x', now() FROM generate_series(1, 10001)"
        )

    page = parse(await (await ada.get("/admin/")).text())
    assert find(page, "input", name="matching") == []
    assert "To select more than this page, filter the list to at most 10,000 polls." in words(page)
    response = await ada.post(SELECTED, data={"do": "delete", "matching": ""})
    assert "Too many polls match by now." in words(parse(await response.text()))
    ids = " ".join(map(str, range(1, 10002)))
    response = await ada.post(SELECTED, data={"do": "delete", "poll": ids, "confirmed": "yes"})
    assert "Select at least one poll and an action." in words(parse(await response.text()))


@pytest.mark.parametrize("matching", ["q=%00&sort=,,&in=9&page=x", "%ff=%ff", "&&==;;", "q=" + "a" * 5000])
@pytest.mark.usefixtures("three_polls")
async def test_a_malformed_query_is_read_as_that_of_the_list(ada: Client, matching: str) -> None:
    response = await ada.post(SELECTED, data={"do": "close", "matching": matching})

    assert response.status == 200


@pytest.mark.parametrize("value", ["0", "x", "1e9", "99999999999", "\x00", "-1", "1; DROP TABLE question"])
@pytest.mark.usefixtures("three_polls")
async def test_malformed_ids_are_ignored(ada: Client, database: Connection, value: str) -> None:
    response = await ada.post(
        SELECTED, data=[("do", "delete"), ("confirmed", "yes"), ("poll", value)], allow_redirects=False
    )

    assert response.status == 303
    assert ended_polls(database) == [False, True, False]


async def test_the_return_url_never_leads_to_another_site(ada: Client, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes")

    response = await select(ada, "close", 1, confirmed="yes", back="https://evil.example/")

    assert response.headers["Location"] == "/admin/"


async def test_a_selection_must_be_posted(ada: Client) -> None:
    assert (await ada.get(SELECTED)).status == 405
