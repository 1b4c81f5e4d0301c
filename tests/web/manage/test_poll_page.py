"""A poll's own page in the admin: its state, and the actions on it, each with a confirmation."""

from datetime import timedelta
from typing import Any

import pytest

from polls.storage.postgres.connect import Connection
from tests.conftest import CreatePoll
from tests.support.pages import fields, find, links, parse, words
from tests.web.conftest import Client

FIRST = "/admin/polls/1"
ACTIONS = {"Close now", "Reopen", "Clear ballots", "Delete"}


async def page_of(browser: Client, url: str) -> Any:
    response = await browser.get(url)
    assert response.status == 200
    return parse(await response.text())


async def run(browser: Client, name: str, url: str = FIRST) -> Any:
    """Choose the action `name` on the poll's page, confirm it, and return the next page."""
    confirmation = links(await page_of(browser, url))[name]
    path = confirmation.partition("?")[0]
    sent = fields(await page_of(browser, confirmation), path)
    response = await browser.post(path, data=sent, allow_redirects=False)
    assert response.status == 303
    return await page_of(browser, response.headers["Location"])


def state_of(page: Any) -> str:
    (state,) = find(page, "span", class_="state")
    return words(state)


@pytest.mark.parametrize(
    ("poll", "title", "offered"),
    [
        ({"votes": (2, 1)}, "Open: Tea? · Village hall: administration", {"Close now", "Clear ballots", "Delete"}),
        ({}, "Open: Tea? · Village hall: administration", {"Close now", "Delete"}),
        ({"closed": timedelta(hours=1)}, "Closed: Tea? · Village hall: administration", {"Reopen", "Delete"}),
        ({"ago": -timedelta(days=1)}, "Scheduled: Tea? · Village hall: administration", {"Delete"}),
    ],
)
async def test_the_page_says_the_state_and_offers_what_it_allows(
    ada: Client, create_poll: CreatePoll, poll: dict[str, Any], title: str, offered: set[str]
) -> None:
    create_poll("Tea?", "Yes", "No", **poll)

    page = await page_of(ada, FIRST)

    assert page.findtext(".//title") == title
    assert title.startswith(state_of(page))
    assert ACTIONS & links(page).keys() == offered
    shown = {name: links(page)[name] for name in ("View results", "Present", "View on site", "Share")}
    assert shown == {
        "View results": "/poll/1/results",
        "Present": "/poll/1/present",
        "View on site": "/poll/1",
        "Share": "#share",
    }
    assert [element.tag for element in page.iter() if element.get("id") == "share"] == ["section"]


async def test_each_action_is_confirmed_and_leads_back_to_the_page(
    ada: Client, create_poll: CreatePoll, database: Connection
) -> None:
    create_poll("Tea?", "Yes", "No", votes=(2, 1))
    url = f"{FIRST}?back=/admin/?q%3Dt"
    messages = []

    for name, state in [("Close now", "Closed"), ("Reopen", "Open"), ("Clear ballots", "Open")]:
        page = await run(ada, name, url)
        assert state_of(page) == state
        assert fields(page, FIRST)["back"] == "/admin/?q=t"
        messages += [words(flash) for flash in find(page, "p", class_="flash", role="status")]

    assert messages == ["The poll was closed.", "The poll was reopened.", "The ballots of the poll were cleared."]
    with database.cursor() as cursor:
        cursor.execute("SELECT deed, actor FROM history WHERE subject = 'poll:1' ORDER BY id")
        assert cursor.fetchall() == [(deed, "admin:ada") for deed in ("closed", "reopened", "cleared")]


async def test_a_deletion_leads_back_to_the_list(ada: Client, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes")

    page = await run(ada, "Delete", f"{FIRST}?back=/admin/?q%3Dt")

    assert [words(flash) for flash in find(page, "p", class_="flash")] == ["The poll was deleted."]
    assert fields(page, "/admin/")["q"] == "t"


async def test_an_action_that_is_done_already_is_noted(ada: Client, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes")
    await ada.post(f"{FIRST}/close")

    response = await ada.post(f"{FIRST}/close", data={"back": FIRST})

    (flash,) = find(parse(await response.text()), "p", class_="note")
    assert words(flash) == "The poll wasn't open. Nothing was closed."


@pytest.mark.parametrize("action", ["close", "reopen", "clear", "delete"])
async def test_nothing_is_done_by_asking(ada: Client, create_poll: CreatePoll, action: str) -> None:
    create_poll("Tea?", "Yes", "No", votes=(2, 1))
    before = words(await page_of(ada, FIRST))

    confirmation = await page_of(ada, f"{FIRST}/{action}")

    assert "2 choices · 3 ballots" in words(confirmation)
    assert words(await page_of(ada, FIRST)) == before


@pytest.mark.parametrize("url", ["/admin/polls/2/close", "/admin/polls/1/dance", "/admin/polls/9999999999/close"])
async def test_a_missing_poll_or_action_is_not_found(ada: Client, create_poll: CreatePoll, url: str) -> None:
    create_poll("Tea?", "Yes")

    assert [(await ada.get(url)).status, (await ada.post(url)).status] == [404, 404]
