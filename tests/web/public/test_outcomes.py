"""The list says who won a closed poll, by each method of voting, and so do its results."""

from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from multidict import MultiDict

from polls.domain.settings import DEFAULT_SETTINGS, PollSettings
from polls.storage.postgres.connect import Connection
from tests.conftest import CaughtUp, CreatePoll
from tests.support.pages import find, parse, words

ANY_NUMBER = PollSettings(method="multiple", most_marks=None)
SCORE = PollSettings(method="score", most_marks=None, most_points=5)
DOTS = PollSettings(method="dots", most_marks=None, most_points=5, budget=5)


@pytest.mark.parametrize(
    ("rules", "ballots", "outcome"),
    [
        (DEFAULT_SETTINGS, ["choice=2", "choice=2", "choice=1"], ["Winner: Two"]),
        (DEFAULT_SETTINGS, ["choice=2", "choice=1"], ["Tied"]),
        (ANY_NUMBER, ["choice=1&choice=3", "choice=3"], ["Winner: Three"]),
        (ANY_NUMBER, ["choice=1&choice=3"], ["Tied"]),
        # The highest average wins, not the most ratings or points.
        (SCORE, ["points.1=4&points.2=5", "points.1=4", "points.1=3"], ["Winner: Two"]),
        (SCORE, ["points.1=2&points.2=3", "points.1=4&points.3=0"], ["Tied"]),
        (SCORE, ["points.1=0&points.2=0"], []),
        # The most points win, not the most voters.
        (DOTS, ["points.1=1&points.3=4", "points.1=1", "points.1=1"], ["Winner: Three"]),
        (DOTS, ["points.1=2&points.3=3", "points.1=1"], ["Tied"]),
    ],
)
async def test_a_closed_poll_has_the_winner_of_its_method(
    client: TestClient[Any, Any],
    create_poll: CreatePoll,
    database: Connection,
    caught_up: CaughtUp,
    rules: PollSettings,
    ballots: list[str],
    outcome: list[str],
) -> None:
    create_poll("Tea?", "One", "Two", "Three", settings=rules)
    for number, ballot in enumerate(ballots):
        fields = MultiDict(field.split("=") for field in ballot.split("&"))
        voter = {"Cookie": f"polls_voter={number:032x}"}
        assert (await client.post("/poll/1/vote", data=fields, headers=voter, allow_redirects=False)).status == 303
    with database.cursor() as cursor:
        cursor.execute("UPDATE question SET closes_at = now()")
    await caught_up(client)

    listed = parse(await (await client.get("/")).text())
    results = parse(await (await client.get("/poll/1/results")).text())

    assert [words(paragraph) for paragraph in find(listed, "p", class_="outcome")] == outcome
    labels = [words(label) for label in find(results, "span", class_="leader-label")]
    leaders = [words(find(row, "span", class_="name")[0]) for row in find(results, "li", class_="leads")]
    if outcome == ["Tied"]:
        assert labels == ["tied"] * 2
    else:
        assert [f"Winner: {name}" for name in leaders] == outcome
        assert labels == ["won"] * len(outcome)
