"""The order in which ballots arrive, and the process that stores them, never matter for the counts."""

import asyncio
import random

import pytest

from polls.config.settings import Postgres
from polls.domain.ballot import Ballot, Counted
from polls.domain.settings import DEFAULT_SETTINGS, PollSettings
from polls.storage.ballots import Recorder
from polls.storage.postgres.connect import Connection
from polls.storage.postgres.pool import Database
from tests.conftest import CreatePoll

MULTIPLE = PollSettings(method="multiple", most_marks=None)
SCORE = PollSettings(method="score", most_marks=None, most_points=5)
DOTS = PollSettings(method="dots", most_marks=None, most_points=3, budget=9)

ORDERS = 5
VOTERS = 30


def ballots_of(dice: random.Random, settings: PollSettings) -> list[Ballot]:
    """Return a valid ballot of each voter."""
    ballots = []
    for voter in range(VOTERS):
        marks = sorted(dice.sample((1, 2, 3), 1 if settings == DEFAULT_SETTINGS else dice.randint(1, 3)))
        points = None if settings.most_points is None else tuple(dice.randint(1, 3) for _ in marks)
        ballots.append(Ballot(1, bytes([voter]), tuple(marks), points))
    return ballots


@pytest.mark.parametrize("settings", [DEFAULT_SETTINGS, MULTIPLE, SCORE, DOTS], ids=lambda settings: settings.method)
async def test_the_order_of_ballots_never_matters(
    postgres: Postgres, create_poll: CreatePoll, database: Connection, settings: PollSettings
) -> None:
    create_poll("?", "a", "b", "c", settings=settings)
    dice = random.Random(17)
    ballots = ballots_of(dice, settings)
    recorders = [Recorder(Database(postgres)), Recorder(Database(postgres))]
    counts = []
    for _ in range(ORDERS):
        dice.shuffle(ballots)
        cut, end = sorted(dice.sample(range(VOTERS + 1), 2))
        # Two batches at once, and then a third: each voter's own ballot is the same in each order.
        at_once = asyncio.gather(recorders[0].record(ballots[:cut], 5), recorders[1].record(ballots[cut:end], 5))
        for outcomes in (*await at_once, await recorders[0].record(ballots[end:], 5)):
            assert all(isinstance(outcome, Counted) for outcome in outcomes)
        with database.cursor() as cursor:
            cursor.execute("SELECT votes, points FROM choice ORDER BY id")
            counts.append(cursor.fetchall())
            cursor.execute(
                "DELETE FROM ballot; UPDATE choice SET votes = 0, points = 0; UPDATE question SET ballots = 0"
            )
    for recorder in recorders:
        recorder.close()

    marked = [dict(zip(ballot.marks, ballot.points or (0,) * len(ballot.marks), strict=True)) for ballot in ballots]
    expected = [
        (sum(choice in ballot for ballot in marked), sum(ballot.get(choice, 0) for ballot in marked))
        for choice in (1, 2, 3)
    ]
    assert counts == [expected] * ORDERS
