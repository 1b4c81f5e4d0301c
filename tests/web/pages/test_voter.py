"""One ballot for each voter; a voter is a browser."""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import DummyCookieJar
from aiohttp.test_utils import TestClient
from aiopg.sa import SAConnection

from polls.app import create_app
from polls.config.settings import Config, Site, Votes
from polls.domain.ballot import Ballot
from polls.domain.errors import VoteNotStored
from polls.web.keys import BALLOT_BOX
from tests.conftest import CaughtUp, CreatePoll
from tests.support.pages import find, links, parse, words

Count = Callable[[], list[int]]
Client = TestClient[Any, Any]

ANN = {"Cookie": f"polls_voter={'a' * 32}"}


async def vote(client: Client, choice: object, poll: int = 1, **options: Any) -> Any:
    return await client.post(f"/poll/{poll}/vote", data={"choice": str(choice)}, allow_redirects=False, **options)


def cookies(response: Any) -> dict[str, str]:
    """{name: value and attributes} of all cookies that a response sets."""
    return dict(line.split("=", 1) for line in response.headers.getall("Set-Cookie", []))


@pytest.fixture
async def cookieless_client(config: Config, aiohttp_client: Any) -> Client:
    """A client that stores no cookies."""
    client: Client = await aiohttp_client(create_app(config), cookie_jar=DummyCookieJar())
    return client


@pytest.fixture
def failing_client(monkeypatch: pytest.MonkeyPatch, cookieless_client: Client) -> Client:
    """A client of an application that can read polls, but store no votes."""

    async def cast(_: Sequence[Ballot]) -> Sequence[None]:
        raise VoteNotStored

    monkeypatch.setattr(cookieless_client.app[BALLOT_BOX], "cast", cast)  # type: ignore[index]
    return cookieless_client


async def test_the_page_of_a_poll_sets_the_voter_cookie(cookieless_client: Client, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes")

    page = await cookieless_client.get("/poll/1")

    assert re.fullmatch(r"[0-9a-f]{32}; HttpOnly; Max-Age=31536000; Path=/; SameSite=Lax", cookies(page)["polls_voter"])
    assert page.headers["Cache-Control"] == "private, no-cache"
    assert cookies(await cookieless_client.get("/poll/1"))["polls_voter"] != cookies(page)["polls_voter"]


async def test_a_browser_with_a_voter_cookie_gets_no_other(cookieless_client: Client, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes")

    page = await cookieless_client.get("/poll/1", headers=ANN)

    assert cookies(page) == {}
    assert page.headers["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize(
    "address", ["/", "/poll/1/results", "/language/en", "/nowhere", "/poll/999", "/static/img/polls.svg"]
)
async def test_no_other_page_sets_the_voter_cookie(
    cookieless_client: Client, create_poll: CreatePoll, address: str
) -> None:
    create_poll("Tea?", "Yes")

    assert "polls_voter" not in cookies(await cookieless_client.get(address, allow_redirects=False))


async def test_the_page_is_the_same_for_all_who_have_not_voted(
    cookieless_client: Client, create_poll: CreatePoll
) -> None:
    create_poll("Tea?", "Yes")

    pages = [
        await (await cookieless_client.get("/poll/1", headers=headers)).read()
        for headers in ({}, ANN, {"Cookie": "x=y"})
    ]

    assert pages[0] == pages[1] == pages[2]


@pytest.mark.parametrize(("url", "secure"), [("https://polls.example.org", True), ("http://polls.example.org", False)])
async def test_cookies_are_secure_if_the_site_is_https(
    config: Config, aiohttp_client: Any, create_poll: CreatePoll, url: str, secure: bool
) -> None:
    create_poll("Tea?", "Yes")
    client = await aiohttp_client(create_app(replace(config, site=Site(url=url))))

    answers = [
        await client.get("/poll/1"),
        await vote(client, 1),
        await client.get("/language/en", allow_redirects=False),
    ]

    for answer in answers:
        for cookie in cookies(answer).values():
            assert cookie.endswith("; Secure") is secure


async def test_a_voter_who_votes_again_changes_their_ballot(
    client: Client, create_poll: CreatePoll, votes: Count
) -> None:
    create_poll("Tea?", "Yes", "No")
    await client.get("/poll/1")
    await vote(client, 1)
    assert votes() == [1, 0]

    await vote(client, 2)

    assert votes() == [0, 1]


async def test_a_vote_that_is_sent_twice_counts_once(
    cookieless_client: Client, create_poll: CreatePoll, votes: Count
) -> None:
    create_poll("Tea?", "Yes")

    answers = [await vote(cookieless_client, 1, headers=ANN) for _ in range(2)]

    assert [answer.status for answer in answers] == [303, 303]
    assert votes() == [1]


async def test_a_vote_without_a_cookie_is_a_new_voters_and_sets_one(
    cookieless_client: Client, create_poll: CreatePoll, votes: Count
) -> None:
    create_poll("Tea?", "Yes", "No")

    first = await vote(cookieless_client, 1)
    await vote(cookieless_client, 1)
    again = await vote(
        cookieless_client, 2, headers={"Cookie": f"polls_voter={cookies(first)['polls_voter'].split(';')[0]}"}
    )

    assert votes() == [1, 1]
    assert "polls_voter" not in cookies(again)


@pytest.mark.parametrize(
    "cookie",
    [
        "polls_voter=",
        "polls_voter=short",
        f"polls_voter={'A' * 32}",
        f"polls_voter={'a' * 33}",
        f"polls_voter={'g' * 32}",
        f"polls_voter={'a' * 31}١",
        f'polls_voter="{"a" * 32}"',
        f"xpolls_voter={'a' * 32}",
        f"x={'a' * 32}; voter",
        "\xff\xfe",
        ";;;===",
    ],
)
async def test_a_malformed_voter_cookie_is_ignored(
    cookieless_client: Client, create_poll: CreatePoll, votes: Count, cookie: str
) -> None:
    create_poll("Tea?", "Yes")

    page = await cookieless_client.get("/poll/1", headers={"Cookie": cookie})
    answers = [await vote(cookieless_client, 1, headers={"Cookie": cookie}) for _ in range(2)]

    assert "polls_voter" in cookies(page)
    assert all("polls_voter" in cookies(answer) for answer in answers)
    assert votes() == [2]


@pytest.mark.parametrize(
    "cookie",
    [
        "polls_language=en; polls_voter={}",
        "polls_voter={};polls_language=en",
        "a=b;polls_voter={}; polls_ballot=1",
        "a=b;  polls_voter={} ;c=d",
        "a=b;\tpolls_voter={}",
    ],
)
async def test_the_voter_cookie_is_found_among_others(
    cookieless_client: Client, create_poll: CreatePoll, votes: Count, cookie: str
) -> None:
    create_poll("Tea?", "Yes")

    for _ in range(2):
        await vote(cookieless_client, 1, headers={"Cookie": cookie.format("a" * 32)})

    assert votes() == [1]


async def test_the_voter_cookie_is_found_in_a_second_cookie_header(
    cookieless_client: Client, create_poll: CreatePoll, votes: Count
) -> None:
    """Some proxies split HTTP/2 cookies into several headers (RFC 9113, section 8.2.3)."""
    create_poll("Tea?", "Yes")

    for _ in range(2):
        await vote(cookieless_client, 1, headers=[("Cookie", "a=b"), ("Cookie", ANN["Cookie"])])

    assert votes() == [1]


async def test_the_pages_of_a_poll_show_voters_their_choice(client: Client, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes", "No")
    create_poll("Coffee?", "Yes")
    await client.get("/poll/1")

    answer = await vote(client, 2)
    poll = parse(await (await client.get("/poll/1")).text())
    results = parse(await (await client.get("/poll/1/results")).text())
    other = parse(await (await client.get("/poll/2")).text())

    assert cookies(answer)[f"polls_ballot_{client.port}"] == "2; HttpOnly; Max-Age=31536000; Path=/poll/1; SameSite=Lax"
    assert [radio.get("checked") is not None for radio in poll.iter("input")] == [False, True]
    assert [words(button) for button in poll.iter("button")] == ["Change your vote"]
    assert ["your vote" in words(row) for row in find(results, "li", class_="result")] == [False, True]
    assert links(results)["Change your vote"] == "/poll/1"
    assert [words(button) for button in other.iter("button")] == ["Vote"]


@pytest.mark.parametrize("marks", ["9", "1.9.x", "0", "-1", "", "1" * 40, "<b>", "3"])
async def test_a_ballot_cookie_that_fits_no_choice_shows_nothing(
    cookieless_client: Client, create_poll: CreatePoll, marks: str
) -> None:
    create_poll("Tea?", "Yes", "No")
    create_poll("Coffee?", "Yes")
    headers = {"Cookie": f"{ANN['Cookie']}; polls_ballot_{cookieless_client.port}={marks}"}

    poll = await (await cookieless_client.get("/poll/1", headers=headers)).text()
    results = await (await cookieless_client.get("/poll/1/results", headers=headers)).text()

    assert "checked" not in poll
    assert "Change your vote" not in poll + results
    assert "your vote" not in results


@pytest.mark.parametrize("address", ["/poll/1", "/poll/1/results"])
async def test_showing_a_voters_choice_needs_no_query(
    cookieless_client: Client,
    create_poll: CreatePoll,
    caught_up: CaughtUp,
    monkeypatch: pytest.MonkeyPatch,
    address: str,
) -> None:
    create_poll("Tea?", "Yes", "No")
    queries: list[str] = []
    execute = SAConnection.execute

    def counted(self: Any, query: str, *arguments: Any, **named: Any) -> Any:
        queries.append(query)
        return execute(self, query, *arguments, **named)

    monkeypatch.setattr(SAConnection, "execute", counted)

    await caught_up(cookieless_client)
    await cookieless_client.get(address)
    assert len(queries) == 1
    page = await (
        await cookieless_client.get(
            address, headers={"Cookie": f"{ANN['Cookie']}; polls_ballot_{cookieless_client.port}=2"}
        )
    ).text()

    assert "Change your vote" in page
    assert len(queries) == 1


async def test_a_closed_poll_takes_no_votes_and_says_when_it_closed(
    cookieless_client: Client, create_poll: CreatePoll, votes: Count
) -> None:
    poll = create_poll("Tea?", "Yes", closed=timedelta(days=3))
    closes_at = poll.question.closes_at
    assert closes_at
    moment = f"{closes_at.day} {closes_at:%B %Y} at {closes_at:%H:%M} UTC"
    reason, changed = (f"Your vote was not {what}: this poll closed on {moment}." for what in ("counted", "changed"))
    voted = {"Cookie": f"{ANN['Cookie']}; polls_ballot_{cookieless_client.port}=1"}

    refused = await vote(cookieless_client, 1)
    again = await vote(cookieless_client, 1, headers=voted)
    empty = await cookieless_client.post("/poll/1/vote")
    program = await vote(cookieless_client, 1, headers={"Accept": "application/json"})
    page, results = await cookieless_client.get("/poll/1"), await cookieless_client.get("/poll/1/results")

    assert (refused.status, empty.status, program.status, page.status) == (403, 403, 403, 200)
    assert (await program.json())["detail"] == reason
    sentence = f"This poll closed on {moment}"
    for answer, said in ((refused, reason), (empty, reason), (again, changed), (page, sentence), (results, sentence)):
        text = await answer.text()
        assert said in words(parse(text))
        assert "<form" not in text
    assert links(parse(await page.text()))["Results"] == "/poll/1/results"
    assert not {"Vote", "Change your vote"} & links(parse(await results.text())).keys()
    assert votes() == [0]


async def test_a_poll_that_closes_while_its_page_is_open_keeps_the_ballot_that_was_cast(
    client: Client, create_poll: CreatePoll, votes: Count, database: Any
) -> None:
    create_poll("Tea?", "Yes", "No")
    await client.get("/poll/1")
    await vote(client, 1)
    with database.cursor() as cursor:
        cursor.execute("UPDATE question SET closes_at = now()")

    assert (await vote(client, 2)).status == 403
    assert votes() == [1, 0]


async def test_an_open_poll_shows_its_closing_time(client: Client, create_poll: CreatePoll) -> None:
    poll = create_poll("Tea?", "Yes", closed=timedelta(days=-3))
    closes_at = poll.question.closes_at
    assert closes_at

    page = words(parse(await (await client.get("/poll/1")).text()))

    assert f"This poll is open until {closes_at.day} {closes_at:%B %Y} at {closes_at:%H:%M} UTC (in 3 days)." in page


async def test_after_a_vote_that_is_not_stored_the_form_keeps_the_choice(
    failing_client: Client, create_poll: CreatePoll
) -> None:
    create_poll("Tea?", "Yes", "No")
    await failing_client.get("/poll/1")

    answer = await vote(failing_client, 2)

    page = parse(await answer.text())
    assert (answer.status, answer.headers["Retry-After"], answer.headers["Cache-Control"]) == (503, "3", "no-store")
    (message,) = find(page, "p", id="error")
    assert words(message) == "Your vote was not counted. Try again in a few seconds."
    assert [radio.get("checked") is not None for radio in page.iter("input")] == [False, True]
    assert [line.split("=")[0] for line in answer.headers.getall("Set-Cookie")] == ["polls_voter"]


async def test_without_the_poll_in_the_cache_the_choice_is_kept_in_a_hidden_field(
    failing_client: Client, create_poll: CreatePoll
) -> None:
    create_poll("Tea?", "Yes", "No")

    answer = await vote(failing_client, 2)

    page = parse(await answer.text())
    (kept,) = page.iter("input")
    assert (answer.status, kept.get("type"), kept.get("name"), kept.get("value")) == (503, "hidden", "choice", "2")
    assert [form.get("action") for form in page.iter("form")] == ["/poll/1/vote"]
    assert "Your vote was not counted. Try again in a few seconds." in words(page)
    assert links(page)["Back to the poll"] == "/poll/1"
    assert "polls_voter" in cookies(answer)


@pytest.mark.parametrize("change", ["closed", "without this choice"])
async def test_an_outdated_poll_in_the_cache_does_not_lose_the_choice(
    failing_client: Client, create_poll: CreatePoll, database: Any, change: str
) -> None:
    create_poll("Tea?", "Yes", closed=timedelta(days=1) if change == "closed" else None)
    await failing_client.get("/poll/1")
    with database.cursor() as cursor:
        cursor.execute("UPDATE question SET closes_at = NULL")
        cursor.execute("INSERT INTO choice (question_id, choice_text) VALUES (1, 'No')")

    page = parse(await (await vote(failing_client, 2)).text())

    assert [kept.get("value") for kept in page.iter("input")] == ["2"]
    assert "Your vote was not counted. Try again in a few seconds." in words(page)


async def test_a_voter_keeps_the_cookie_when_the_vote_is_not_stored(
    failing_client: Client, create_poll: CreatePoll
) -> None:
    create_poll("Tea?", "Yes")

    answer = await vote(failing_client, 1, headers=ANN)

    assert "polls_voter" not in cookies(answer)  # the response replaces no cookie


async def test_a_vote_that_is_not_stored_is_reported_in_json(failing_client: Client, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes")

    answer = await vote(failing_client, 1, headers={"Accept": "application/json"})

    assert (answer.status, answer.content_type) == (503, "application/problem+json")
    assert answer.headers["Retry-After"] == "3"
    assert (await answer.json())["detail"] == "Your vote was not counted. Try again in a few seconds."
    assert "polls_voter" in cookies(answer)


async def test_when_the_queue_is_full_a_vote_is_refused_at_once(
    config: Config, aiohttp_client: Any, create_poll: CreatePoll, votes: Count, database: Any
) -> None:
    create_poll("Tea?", "Yes")
    client = await aiohttp_client(create_app(replace(config, votes=Votes(queue_size=3))))
    with database.cursor() as cursor:
        cursor.execute("BEGIN; SELECT FROM question FOR UPDATE")
        waiting = [asyncio.create_task(vote(client, 1, headers={"Cookie": f"polls_voter={n:032x}"})) for n in range(3)]
        await asyncio.sleep(0.3)

        async with asyncio.timeout(0.5):
            refused = await vote(client, 1, headers=ANN)
        cursor.execute("COMMIT")

    assert refused.status == 503
    assert [(await answer).status for answer in waiting] == [303, 303, 303]
    assert votes() == [3]
