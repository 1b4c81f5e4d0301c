"""After voting, the results say so once, with a cookie that costs other visitors nothing."""

from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from polls.storage.postgres.connect import Connection
from tests.conftest import CaughtUp, CreatePoll
from tests.support.pages import find, parse, words

COUNTED, CHANGED = "Your vote has been counted.", "Your vote has been changed."
CHINESE = {"Accept-Language": "zh"}

Client = TestClient[Any, Any]


async def vote(client: Client, choice: int) -> str:
    """Vote, and return the URL that the browser is redirected to."""
    response = await client.post("/poll/1/vote", data={"choice": str(choice)}, allow_redirects=False)
    assert response.status == 303
    return response.headers["Location"]


async def said(client: Client, url: str, **headers: str) -> list[str]:
    """Open a page, and return the notices on it."""
    response = await client.get(url, headers=headers)
    return [words(notice) for notice in find(parse(await response.text()), "p", role="status")]


async def test_voters_are_told_once_that_their_vote_is_counted(client: Client, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes", "No")
    await client.get("/poll/1")

    results = await vote(client, 1)

    assert await said(client, "/poll/1") == []
    assert await said(client, "/poll/1/results") == []  # another tab doesn't take the message away
    assert (await client.head(results)).status == 200
    assert await said(client, results) == [COUNTED]
    assert await said(client, results) == []


@pytest.mark.parametrize(("first", "then", "notice"), [(1, 2, CHANGED), (1, 1, COUNTED)])
async def test_voters_are_told_that_a_vote_for_something_else_is_changed(
    client: Client, create_poll: CreatePoll, first: int, then: int, notice: str
) -> None:
    create_poll("Tea?", "Yes", "No")
    await client.get("/poll/1")
    await said(client, await vote(client, first))

    assert await said(client, await vote(client, then)) == [notice]


async def test_a_vote_in_place_of_a_choice_that_was_removed_is_counted_anew(
    client: Client, create_poll: CreatePoll, database: Connection, caught_up: CaughtUp
) -> None:
    create_poll("Tea?", "Yes", "No")
    await client.get("/poll/1")
    await said(client, await vote(client, 1))
    with database.cursor() as cursor:
        cursor.execute("DELETE FROM ballot; UPDATE question SET ballots = 0; DELETE FROM choice WHERE id = 1")
    await caught_up(client)
    await client.get("/poll/1")

    assert await said(client, await vote(client, 2)) == [COUNTED]


async def test_of_two_votes_at_once_the_later_one_is_confirmed(client: Client, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes", "No")
    await client.get("/poll/1")

    first, second = await vote(client, 1), await vote(client, 2)

    assert await said(client, first) == []
    assert await said(client, second) == [CHANGED]


async def test_the_message_is_translated(client: Client, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes", "No")

    assert await said(client, await vote(client, 1), **CHINESE) == ["您的投票已计入。"]
    assert await said(client, await vote(client, 2), **CHINESE) == ["您的投票已更改。"]


async def test_the_cookie_lasts_a_minute_for_the_pages_of_its_poll_and_is_deleted_with_the_message(
    client: Client, create_poll: CreatePoll
) -> None:
    poll = create_poll("Tea?", "Yes", "No")

    voted = await client.post("/poll/1/vote", data={"choice": "1"}, allow_redirects=False)
    shown = await client.get(voted.headers["Location"])

    name, rest = f"polls_flash_{client.port}", "HttpOnly; {}; Path=/poll/1; SameSite=Lax"
    assert f"{name}=counted.{poll.revision + 1}; {rest.format('Max-Age=60')}" in voted.headers.getall("Set-Cookie")
    assert shown.headers.getall("Set-Cookie") == [f"{name}=; {rest.format('Max-Age=0')}"]
    assert shown.headers["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize("value", ["counted", "counted.x", "deleted.1", ".1", "<b>.1", "counted." + "1" * 19])
async def test_a_made_up_message_is_not_shown(client: Client, create_poll: CreatePoll, value: str) -> None:
    create_poll("Tea?", "Yes")
    cookie = {"Cookie": f"polls_flash_{client.port}={value}"}

    response = await client.get("/poll/1/results?after=1", headers=cookie)

    assert find(parse(await response.text()), "p", role="status") == []
    assert "Set-Cookie" not in response.headers


async def test_to_change_a_vote_is_no_longer_the_first_thing_offered(client: Client, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes")

    for has_voted in (False, True):
        page = parse(await (await client.get("/poll/1/results")).text())
        (button,) = find(page, "a", class_="button")
        assert (words(button), "secondary" in button.get("class", "")) == (
            ("Change your vote", True) if has_voted else ("Vote", False)
        )
        await vote(client, 1)
