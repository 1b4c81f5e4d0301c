"""Showing hidden results to everyone, from the presenter's page: by the owner of the poll, and by admins."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from polls.domain.access_keys import hash_of
from polls.domain.settings import DEFAULT_SETTINGS, PollSettings, Results
from polls.storage.postgres.connect import Connection
from tests.conftest import CaughtUp, CreatePoll
from tests.support.pages import fields, find, links, parse, words
from tests.web.conftest import Client

KEY = "0123456789abcdefghjkmnpqrs"
POLL = "/poll/k7m2q9xdtb"
SCREEN, REVEAL = f"{POLL}/present", f"{POLL}/reveal"
LABEL = "Show results to everyone"
AFTER_VOTE = PollSettings(results=Results.AFTER_VOTE, results_from=2)


def create(create_poll: CreatePoll, database: Connection, settings: PollSettings, **options: Any) -> None:
    """Create a poll whose owner has KEY."""
    create_poll("Tea?", "Yes", "No", votes=(2, 1), settings=settings, slug="k7m2q9xdtb", **options)
    with database.cursor() as cursor:
        cursor.execute(
            "INSERT INTO poll_settings (question_id, owner_hash, asked_at) VALUES (1, %s, now()) "
            "ON CONFLICT (question_id) DO UPDATE SET owner_hash = EXCLUDED.owner_hash, asked_at = now()",
            (hash_of(KEY),),
        )


@pytest.fixture
async def owner(client: Client) -> AsyncIterator[Client]:
    """A browser that has the cookie of the owner."""
    browser: Client = TestClient(client.server)
    browser.session.headers["Cookie"] = f"polls_owner_{client.port}={KEY}"
    yield browser
    await browser.session.close()


async def page_of(browser: Client, path: str) -> Any:
    response = await browser.get(path)
    assert response.status == 200
    return parse(await response.text())


def history(database: Connection) -> list[tuple[str, str, list[list[str | None]]]]:
    with database.cursor() as cursor:
        cursor.execute("SELECT actor, deed, changes FROM history WHERE subject = 'poll:1'")
        return cursor.fetchall()


def results_of(database: Connection) -> tuple[str, int, bool]:
    with database.cursor() as cursor:
        cursor.execute("SELECT results, results_from, owner_hash IS NOT NULL FROM poll_settings")
        (row,) = cursor.fetchall()
        return row


@pytest.mark.parametrize("who", ["owner", "ada"])
async def test_the_owner_and_admins_show_the_results_from_the_screen(
    client: Client,
    owner: Client,
    ada: Client,
    create_poll: CreatePoll,
    database: Connection,
    caught_up: CaughtUp,
    who: str,
) -> None:
    create(create_poll, database, AFTER_VOTE)
    browser = {"owner": owner, "ada": ada}[who]
    socket = await client.ws_connect(f"{POLL}/live?as=public")
    assert json.loads(await socket.receive_str(timeout=5))["hidden"] == "vote"
    assert LABEL not in links(await page_of(client, SCREEN))
    assert LABEL not in links(await page_of(client, f"{POLL}/results"))
    url = links(await page_of(browser, SCREEN))[LABEL]

    asked = await page_of(browser, url)
    action = url.partition("?")[0]
    response = await browser.post(action, data=fields(asked, action), allow_redirects=False)

    assert words(next(asked.iter("h1"))) == "Show the results of this poll to everyone?"
    assert (response.status, response.headers["Location"]) == (303, SCREEN)
    assert json.loads(await socket.receive_str(timeout=5))["choices"]["1"]["votes"] == 2
    await caught_up(client)
    for visitor in (client, browser):
        page = await page_of(visitor, SCREEN)
        assert find(page, "li", class_="result")
        assert LABEL not in links(page)
    assert results_of(database) == ("always", 2, True)
    actor = {"owner": "owner", "ada": "admin:ada"}[who]
    assert history(database) == [(actor, "revealed", [["results", "after_vote", None]])]


@pytest.mark.parametrize(
    ("settings", "is_closed"),
    [
        (PollSettings(results=Results.AFTER_CLOSE, is_sealed=True), False),
        (PollSettings(results=Results.OWNER, is_sealed=True), True),  # voters were promised that
        (PollSettings(results=Results.AFTER_VOTE, results_from=4), False),
        (PollSettings(results_from=4), False),
        (PollSettings(results=Results.AFTER_CLOSE), True),
        (DEFAULT_SETTINGS, False),
    ],
)
async def test_what_is_sealed_shown_or_of_too_few_stays_as_it_is(
    owner: Client, ada: Client, create_poll: CreatePoll, database: Connection, settings: PollSettings, is_closed: bool
) -> None:
    create(create_poll, database, settings)
    if is_closed:
        with database.cursor() as cursor:
            cursor.execute("UPDATE question SET closes_at = now()")
    before = results_of(database)

    for browser, manage, path in ((owner, f"{POLL}/manage", REVEAL), (ada, "/admin/", "/admin/polls/1/reveal")):
        assert LABEL not in links(await page_of(browser, SCREEN))
        assert LABEL not in links(await page_of(browser, manage))
        response = await browser.post(path)
        assert "Nothing has changed" in await response.text()

    assert results_of(database) == before
    assert history(database) == []


async def test_others_cannot_show_the_results(
    client: Client, owner: Client, create_poll: CreatePoll, database: Connection
) -> None:
    create(create_poll, database, AFTER_VOTE)
    other_site = {"Sec-Fetch-Site": "cross-site", "Origin": "https://elsewhere.example"}

    answers = [
        await client.post(REVEAL, allow_redirects=False),
        await client.post("/admin/polls/1/reveal", headers={"Accept": "application/json"}, allow_redirects=False),
        await owner.post(REVEAL, headers=other_site, allow_redirects=False),
        await owner.put(REVEAL, allow_redirects=False),
        await owner.post("/poll/k7m2q9xdtc/reveal", allow_redirects=False),
    ]

    assert [answer.status for answer in answers] == [403, 401, 403, 405, 404]
    assert results_of(database)[0] == "after_vote"


async def test_the_owners_page_leads_there_too(owner: Client, create_poll: CreatePoll, database: Connection) -> None:
    create(create_poll, database, AFTER_VOTE)
    url = links(await page_of(owner, f"{POLL}/manage"))[LABEL]

    await owner.post(url, allow_redirects=False)

    assert (url, results_of(database)[0]) == (REVEAL, "always")
