"""Results that are hidden: pages say why and how many voted, and show them to those who prove that they may."""

import json
from datetime import timedelta
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from polls.domain.settings import PollSettings, Results
from tests.conftest import CaughtUp, CreatePoll
from tests.support.pages import find, parse, words
from tests.web.conftest import Client

AFTER_VOTE = PollSettings(results=Results.AFTER_VOTE)
AFTER_CLOSE = PollSettings(results=Results.AFTER_CLOSE)


async def said(client: Client, path: str = "/poll/1/results", **request: Any) -> list[str]:
    """Return what a page says in place of the results; empty if it shows them."""
    text = await (await client.get(path, **request)).text()
    hidden = find(parse(text), "section", class_="hidden-results")
    assert bool(hidden) != ("data-choice" in text)
    lines = [line for section in hidden for line in find(section, "p")]
    return [words(line) for line in lines if line.get("class") not in {"live-status", "visually-hidden"}]


async def vote(client: Client, path: str = "/poll/1") -> None:
    await client.get(path)
    response = await client.post(f"{path}/vote", data={"choice": "1"}, allow_redirects=False)
    assert response.status == 303


def cookies(client: Client, path: str = "/poll/1") -> dict[str, str]:
    url = client.make_url(path)
    return {name: cookie.value for name, cookie in client.session.cookie_jar.filter_cookies(url).items()}


@pytest.mark.parametrize(
    ("settings", "votes", "closed", "lines"),
    [
        (AFTER_VOTE, (1, 0), None, ["Vote to see the results.", "1 vote so far"]),
        (AFTER_CLOSE, (7, 5), None, ["The results will be shown when the poll has closed.", "12 votes so far"]),
        (
            PollSettings(results=Results.OWNER),
            (7, 5),
            None,
            ["Only the owner of this poll sees the results.", "12 votes so far"],
        ),
        (
            PollSettings(results_from=20),
            (7, 5),
            None,
            ["The results will be shown from 20 votes on.", "12 of 20 votes"],
        ),
        (
            PollSettings(results=Results.AFTER_VOTE, results_from=20),
            (7, 5),
            None,
            ["Vote to see the results. There must be at least 20 votes.", "12 of 20 votes"],
        ),
        (
            PollSettings(results_from=20),
            (7, 5),
            timedelta(),
            ["The results stay hidden: there are fewer than 20 votes.", "12 of 20 votes"],
        ),
        (AFTER_CLOSE, (7, 5), timedelta(), []),
        (PollSettings(results_from=12), (7, 5), None, []),
    ],
)
async def test_hidden_results_say_why(
    client: TestClient,
    create_poll: CreatePoll,
    settings: PollSettings,
    votes: tuple[int, ...],
    closed: timedelta | None,
    lines: list[str],
) -> None:
    create_poll("Tea?", "Yes", "No", votes=votes, closed=closed, settings=settings)

    assert await said(client) == await said(client, "/poll/1/present") == lines
    async with client.ws_connect("/poll/1/live") as socket:
        message = json.loads((await socket.receive()).data)
    assert (message["choices"] is None) is bool(lines)


async def test_a_voter_sees_the_results_and_others_do_not(client: TestClient, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes", "No", settings=AFTER_VOTE)

    await vote(client)

    assert await said(client) == []
    stranger = TestClient(client.server)
    assert await said(stranger) == ["Vote to see the results.", "1 vote so far"]
    await stranger.session.close()


async def test_made_up_and_foreign_ballot_cookies_show_nothing(client: TestClient, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes", "No", settings=AFTER_VOTE)
    create_poll("Coffee?", "Yes", "No", settings=AFTER_VOTE)
    await client.get("/poll/2")
    await client.post("/poll/2/vote", data={"choice": "3"}, allow_redirects=False)
    await vote(client)
    ours, theirs = cookies(client), cookies(client, "/poll/2")
    name = next(name for name in ours if name.startswith("polls_ballot"))
    signature = ours[name].partition("_")[2]
    foreign = theirs[name].partition("_")[2]
    assert len(signature) == len(foreign) == 20

    made_up = [
        {name: "1"},
        {name: f"2_{signature}"},
        {name: f"1_{foreign}"},
        {name: f"1_{'0' * 20}"},
        {"polls_voter": "0" * 32},
        {"polls_voter": ""},
    ]
    stranger = TestClient(client.server)
    for changed in made_up:
        header = "; ".join(f"{key}={value}" for key, value in {**ours, **changed}.items())
        assert await said(stranger, headers={"Cookie": header}) != [], changed
    header = "; ".join(f"{key}={value}" for key, value in ours.items())
    assert await said(stranger, headers={"Cookie": header}) == []
    await stranger.session.close()


async def test_without_its_cookies_a_browser_sees_nothing_until_it_votes_again(
    client: Client, create_poll: CreatePoll
) -> None:
    create_poll("Tea?", "Yes", "No", settings=AFTER_VOTE)
    await vote(client)

    client.session.cookie_jar.clear()

    assert await said(client) == ["Vote to see the results.", "1 vote so far"]
    await vote(client)
    assert await said(client) == []


async def test_cleared_ballots_show_nothing_more(
    client: Client, ada: Client, create_poll: CreatePoll, caught_up: CaughtUp
) -> None:
    create_poll("Tea?", "Yes", "No", settings=AFTER_VOTE)
    await vote(client)

    response = await ada.post("/admin/polls/1/clear", allow_redirects=False)

    assert response.status == 303
    await caught_up(client)
    assert await said(client) == ["Vote to see the results.", "0 votes so far"]


async def test_the_owner_sees_results_that_are_not_sealed(ada: Client, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes", "No", settings=AFTER_CLOSE)
    create_poll("Coffee?", "Yes", "No", settings=PollSettings(results=Results.AFTER_CLOSE, is_sealed=True))

    assert await said(ada) == []
    assert await said(ada, "/poll/2/results") != []
    assert await said(ada, "/poll/1/present") != []  # others see that screen


async def test_the_list_names_no_hidden_winner(client: TestClient, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes", "No", votes=(1, 0), closed=timedelta(), settings=PollSettings(results_from=2))

    assert "Winner" not in await (await client.get("/")).text()


async def test_plain_polls_have_no_signature(client: TestClient, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes", "No")

    await vote(client)

    assert "1" in cookies(client).values()


@pytest.mark.parametrize(
    ("settings", "votes", "leads_to"),
    [
        (AFTER_CLOSE, (0, 0), "/poll/1/ballot"),
        (PollSettings(results=Results.OWNER), (0, 0), "/poll/1/ballot"),
        (PollSettings(results_from=3), (1, 0), "/poll/1/ballot"),
        (PollSettings(results_from=3), (1, 1), "/poll/1/results?after="),  # this one is the third
        (AFTER_VOTE, (0, 0), "/poll/1/results?after="),
    ],
)
async def test_a_vote_leads_to_the_results_or_to_the_ballot(
    client: TestClient, create_poll: CreatePoll, settings: PollSettings, votes: tuple[int, ...], leads_to: str
) -> None:
    create_poll("Tea?", "Yes", "No", votes=votes, settings=settings)
    await client.get("/poll/1")

    response = await client.post("/poll/1/vote", data={"choice": "2"}, allow_redirects=False)

    assert response.headers["Location"].startswith(leads_to)
    assert (await said(client) == []) is leads_to.startswith("/poll/1/results")


async def test_the_ballot_says_what_one_voted_for(client: TestClient, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes", "No", settings=AFTER_CLOSE)
    create_poll("Coffee?", "Yes", "No", settings=PollSettings(method="score", most_marks=None, most_points=5))
    assert "This browser hasn't voted in this poll." in await (await client.get("/poll/1/ballot")).text()
    await vote(client)
    await client.post("/poll/2/vote", data={"points.3": "5"}, allow_redirects=False)

    first, again, scores = [
        parse(await (await client.get(path)).text()) for path in ("/poll/1/ballot", "/poll/1/ballot", "/poll/2/ballot")
    ]

    told = [[words(notice) for notice in find(page, "p", role="status")] for page in (first, again)]
    assert told == [["Your vote has been counted."], []]
    assert words(find(again, "section", class_="own-ballot")[0]) == "You voted for: Yes"
    assert words(find(again, "section", class_="hidden-results")[0]).startswith("The results will be shown when")
    assert words(find(scores, "section", class_="own-ballot")[0]) == "You voted for: Yes 5"
    assert find(scores, "section", class_="hidden-results") == []
