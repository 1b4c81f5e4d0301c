"""Reading of the distinct ballots of a poll, each with the number of voters who cast it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import aiopg.sa

from polls.domain.poll import Poll
from polls.storage.postgres.pool import Database, transaction
from polls.storage.questions import read

BATCH_SIZE = 500  # rows, each with up to a hundred marks: encoding more would delay other requests

# One snapshot for the poll and its ballots. They are counted without parallel workers: votes need processors, too.
_BEGIN = """
    SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;
    SET LOCAL statement_timeout = '5s';
    SET LOCAL max_parallel_workers_per_gather = 0
"""

# Not in an order of time, which might reveal who cast a ballot.
_DECLARE = """
    DECLARE distinct_ballots NO SCROLL CURSOR FOR
    SELECT marks, points, count(*) AS ballots
    FROM ballot
    WHERE question_id = %(question_id)s
    GROUP BY marks, points
    ORDER BY ballots DESC, marks, points
"""
_FETCH = f"FETCH {BATCH_SIZE} FROM distinct_ballots"


class DistinctBallot(NamedTuple):
    """A ballot, as its `marks` (ids of choices) and `points` (None: the poll has none), and how often it was cast."""

    marks: tuple[int, ...]
    points: tuple[int, ...] | None
    ballots: int


@asynccontextmanager
async def open_distinct_ballots(
    database: Database, question_id: int
) -> AsyncIterator[tuple[Poll | None, AsyncIterator[list[DistinctBallot]]]]:
    """Yield a poll, or None if it doesn't exist, and its distinct ballots in batches, the most frequent first.

    Raises PollsUnavailable, also if counting takes too long.
    """
    async with transaction(database) as connection:
        await connection.execute(_BEGIN)
        yield await read(connection, question_id), _batches(connection, question_id)


async def _batches(connection: aiopg.sa.SAConnection, question_id: int) -> AsyncIterator[list[DistinctBallot]]:
    await connection.execute(_DECLARE, {"question_id": question_id})
    while True:
        rows = await (await connection.execute(_FETCH)).fetchall()
        yield [
            DistinctBallot(tuple(row.marks), tuple(row.points) if row.points is not None else None, row.ballots)
            for row in rows
        ]
        if len(rows) < BATCH_SIZE:
            return
