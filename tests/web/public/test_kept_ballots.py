"""What voters entered stays in the form when their vote wasn't counted, by each method of voting."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any
from xml.etree.ElementTree import Element

import pytest
from aiohttp import DummyCookieJar
from aiohttp.test_utils import TestClient

from polls.app import create_app
from polls.config.settings import Config, Votes
from polls.domain.settings import DEFAULT_SETTINGS, PollSettings
from polls.storage.postgres.connect import Connection
from tests.conftest import CreatePoll
from tests.support.pages import fields, find, links, parse, words
from tests.support.refused_ballots import refusing_ballots

CHOICES = ("One", "Two", "Three")
BALLOTS = [
    (DEFAULT_SETTINGS, [("choice", "2")]),
    (PollSettings(method="multiple", most_marks=None), [("choice", "1"), ("choice", "3")]),
    (
        PollSettings(method="score", most_marks=None, most_points=5),
        [("points.1", "0"), ("points.2", "5"), ("points.3", "")],
    ),
    (
        PollSettings(method="dots", most_marks=None, most_points=5, budget=5),
        [("points.1", "3"), ("points.2", ""), ("points.3", "2")],
    ),
]
VOTER = {"Cookie": f"polls_voter={'a' * 32}"}
REASONS = {
    503: "Your vote was not counted. Try again in a few seconds.",
    429: "Many people have just voted from your network. Your vote was not counted. Try again in",
}


@pytest.fixture
async def client(config: Config, aiohttp_client: Any) -> TestClient[Any, Any]:
    """A client without cookies, of an application that takes the votes of one voter a minute and network."""
    app = create_app(replace(config, votes=Votes(rate_limit=1)))
    client: TestClient[Any, Any] = await aiohttp_client(app, cookie_jar=DummyCookieJar())
    return client


async def refused(client: TestClient[Any, Any], ballot: Sequence[tuple[str, str]], status: int) -> Element:
    """Vote with `ballot`, and return the page that says why it isn't counted."""
    response = await client.post("/poll/1/vote", data=ballot, headers=VOTER)
    assert (response.status, response.headers["Cache-Control"]) == (status, "no-store")
    page = parse(await response.text())
    assert REASONS[status] in words(page)
    return page


@pytest.mark.parametrize("status", REASONS)
@pytest.mark.parametrize(("rules", "ballot"), BALLOTS)
async def test_a_ballot_that_cannot_be_counted_now_stays_as_it_was_sent(
    client: TestClient[Any, Any],
    create_poll: CreatePoll,
    database: Connection,
    rules: PollSettings,
    ballot: list[tuple[str, str]],
    status: int,
) -> None:
    create_poll("Tea?", *CHOICES, settings=rules)
    if status == 429:  # another voter of the same network
        create_poll("Coffee?", "Yes")
        await client.post("/poll/2/vote", data={"choice": "4"}, allow_redirects=False)

    with refusing_ballots(database) if status == 503 else nullcontext():
        without_poll = await refused(client, ballot, status)
        await client.get("/poll/1")
        with_poll = await refused(client, ballot, status)

    assert [field.get("type") for field in without_poll.iter("input")] == ["hidden"] * len(ballot)
    assert links(without_poll)["Back to the poll"] == "/poll/1"
    assert find(with_poll, "form", class_="ballot")
    for page in (without_poll, with_poll):
        assert list(fields(page, "/poll/1/vote").items()) == ballot


@pytest.mark.parametrize(("rules", "ballot"), BALLOTS)
async def test_a_ballot_that_was_kept_on_a_page_without_the_poll_is_counted_once_it_can_be(
    client: TestClient[Any, Any],
    create_poll: CreatePoll,
    database: Connection,
    rules: PollSettings,
    ballot: list[tuple[str, str]],
) -> None:
    create_poll("Tea?", *CHOICES, settings=rules)
    with refusing_ballots(database):
        kept = fields(await refused(client, ballot, 503), "/poll/1/vote")

    answer = await client.post("/poll/1/vote", data=kept, headers=VOTER, allow_redirects=False)

    assert answer.status == 303
    with database.cursor() as cursor:
        cursor.execute("SELECT marks, points FROM ballot")
        ((marks, points),) = cursor.fetchall()
    given = [(name.removeprefix("points."), value) for name, value in ballot if value]
    assert marks == [int(value if name == "choice" else name) for name, value in given]
    assert points == (None if rules.most_points is None else [int(value) for _, value in given])
