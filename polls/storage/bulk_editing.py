"""Actions on several polls: close, reopen, reveal, clear and delete, each with an entry in history.

An action is one transaction, which locks as `storage.ballots` does: the questions' rows first, by id, then the choices'
by id. `in_batches` divides many polls among transactions, so that votes never wait long for a lock.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import aiopg.sa
import sqlalchemy as sa

from polls.domain.errors import PollsUnavailable
from polls.domain.permissions import Person
from polls.domain.poll import Poll, State
from polls.domain.settings import Results
from polls.domain.visibility import may_reveal
from polls.storage.editing import BATCH_SIZE, delete_ballots, locked
from polls.storage.history import Change, changes_between, record_polls
from polls.storage.postgres.pool import Database, acquired
from polls.storage.questions import read_all
from polls.storage.settings import write_settings
from polls.storage.tables import choice, question

MAX_POLLS = 50  # in one transaction of `in_batches`

_BALLOTS = "SELECT id, ballots FROM question WHERE id = ANY (%(ids)s) ORDER BY id"
_LOCK_CHOICES = "SELECT id FROM choice WHERE question_id = ANY (%(ids)s) ORDER BY id FOR NO KEY UPDATE"

Action = Callable[[Database, Person, Sequence[int]], Awaitable[int]]


class Progress(NamedTuple):
    """The number of polls that an action has changed, and the ids of the remaining ones."""

    changed: int
    rest: Sequence[int]


class PollCount(NamedTuple):
    """A number of polls, and of all their ballots."""

    polls: int
    ballots: int


async def count(database: Database, question_ids: Sequence[int]) -> PollCount:
    """Return how many of the polls exist, and how many ballots they have together."""
    ballots = await _ballots(database, question_ids)
    return PollCount(len(ballots), sum(ballots.values()))


async def in_batches(
    action: Action, database: Database, person: Person, question_ids: Sequence[int], *, seconds: float
) -> Progress:
    """Run an action on many polls, a transaction for each batch, until it is done or `seconds` have passed.

    Raises PollsUnavailable if the first batch fails. If a later one does, what was done is returned.
    """
    loop = asyncio.get_running_loop()
    changed, ends_at = 0, loop.time() + seconds
    batches = list(_batches(await _ballots(database, question_ids)))
    for index, batch in enumerate(batches):
        rest = [question_id for later in batches[index:] for question_id in later]
        if index and loop.time() > ends_at:
            return Progress(changed, rest)
        try:
            changed += await action(database, person, batch)
        except PollsUnavailable:
            if not index:
                raise
            return Progress(changed, rest)
    return Progress(changed, [])


async def close(database: Database, person: Person, question_ids: Sequence[int]) -> int:
    """Close those of the polls that are open, and return how many."""
    end = sa.func.least(question.c.closes_at, sa.func.clock_timestamp())  # it may have closed while this waited
    return await _set_end(database, person, "closed", question_ids, end)


async def reopen(database: Database, person: Person, question_ids: Sequence[int]) -> int:
    """Reopen those of the polls that are closed, without an end, and return how many.

    Sealed ones stay closed while they have ballots: their results have been seen.
    """
    return await _set_end(database, person, "reopened", question_ids, None)


async def reveal(database: Database, person: Person, question_ids: Sequence[int]) -> int:
    """Show everyone the results of those of the polls where `domain.visibility.may_reveal` says so; return how many.

    The number of ballots that the results need (`results_from`) stays the same.
    """
    async with locked(database, person, question_ids) as (connection, polls):
        affected = [poll for poll in polls if may_reveal(poll)]
        for poll in affected:
            settings = replace(poll.settings, results=Results.ALWAYS)
            await write_settings(connection, poll.question.id, poll, settings)
        await _record(connection, person, "revealed", affected)
    return len(affected)


async def clear(database: Database, person: Person, question_ids: Sequence[int]) -> int:
    """Delete all ballots of the polls, as after a rehearsal, and return how many polls had any."""
    async with locked(database, person, question_ids) as (connection, polls):
        with_ballots = [poll for poll in polls if poll.ballots]
        if not with_ballots:
            return 0
        for poll in with_ballots:
            await delete_ballots(connection, poll.question.id)
        ids = _ids(with_ballots)
        await connection.execute(_LOCK_CHOICES, {"ids": ids})
        # Turns off the trigger choice_recounted: the update of the questions below raises each revision once.
        await connection.execute("SET LOCAL polls.recorder = 'on'")
        await connection.execute(choice.update().where(choice.c.question_id.in_(ids)).values(votes=0, points=0))
        # A new salt: no cookie proves any more that its browser has voted.
        values = {"ballots": 0, "edited_at": None, "voter_salt": sa.text("DEFAULT")}
        await connection.execute(question.update().where(question.c.id.in_(ids)).values(**values))
        after = await read_all(connection, ids)
        pairs = zip(with_ballots, after, strict=True)
        changes = [(poll, [Change("ballots", str(before.ballots), "0")]) for before, poll in pairs]
        await record_polls(connection, person, "cleared", changes)
    return len(with_ballots)


async def delete(database: Database, person: Person, question_ids: Sequence[int]) -> int:
    """Delete the polls with their choices and ballots, and return how many existed. Their history is kept."""
    async with locked(database, person, question_ids) as (connection, polls):
        if not polls:
            return 0
        for poll in polls:
            if poll.ballots:
                await delete_ballots(connection, poll.question.id)
        await connection.execute(question.delete().where(question.c.id.in_(_ids(polls))))
        await record_polls(connection, person, "deleted", [(poll, changes_between(poll, None)) for poll in polls])
    return len(polls)


async def _set_end(database: Database, person: Person, verb: str, question_ids: Sequence[int], end: object) -> int:
    async with locked(database, person, question_ids) as (connection, polls):
        affected = [poll for poll in polls if (_may_reopen(poll) if end is None else _is_open(poll))]
        if not affected:
            return 0
        await connection.execute(question.update().where(question.c.id.in_(_ids(affected))).values(closes_at=end))
        await _record(connection, person, verb, affected)
    return len(affected)


async def _record(connection: aiopg.sa.SAConnection, person: Person, verb: str, before: Sequence[Poll]) -> None:
    """Add a history entry for each poll, which was like that in `before`."""
    after = await read_all(connection, _ids(before))
    changes = [(poll, changes_between(former, poll)) for former, poll in zip(before, after, strict=True)]
    await record_polls(connection, person, verb, changes)


def _is_open(poll: Poll) -> bool:
    return poll.question.state(poll.as_of) is State.OPEN


def _may_reopen(poll: Poll) -> bool:
    return poll.is_closed and not (poll.settings.is_sealed and poll.ballots)


def _ids(polls: Sequence[Poll]) -> list[int]:
    return [poll.question.id for poll in polls]


async def _ballots(database: Database, question_ids: Sequence[int]) -> dict[int, int]:
    """Return {id: number of ballots} of those polls that exist."""
    async with acquired(database) as connection:
        found = await connection.execute(_BALLOTS, {"ids": list(question_ids)})
        return {row.id: row.ballots async for row in found}


def _batches(ballots: Mapping[int, int]) -> Iterator[list[int]]:
    """Divide polls, {id: number of ballots}, into batches of MAX_POLLS with BATCH_SIZE ballots together, or of one."""
    batch: list[int] = []
    total = 0
    for question_id, count in ballots.items():
        if batch and (len(batch) == MAX_POLLS or total + count > BATCH_SIZE):
            yield batch
            batch, total = [], 0
        batch.append(question_id)
        total += count
    if batch:
        yield batch
