"""Editing: polls are made, changed, closed, cleared and deleted, and history tells of it.

All of it locks as `storage.ballots` does: the question's row first, polls by id, then the choices by id.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import aiopg.sa
import sqlalchemy as sa

from polls.domain.draft import Draft, DraftChoice
from polls.domain.errors import ChoicesHaveVotes, PollEdited, PollNotFound
from polls.domain.permissions import Person
from polls.domain.poll import Poll
from polls.storage.history import Change, record, to_poll
from polls.storage.postgres.pool import Database, transaction
from polls.storage.questions import read
from polls.storage.tables import choice, question

_AT_ONCE = 5_000  # ballots that a statement looks at: none may take longer than two seconds

_LOCK = "SELECT id FROM question WHERE id = ANY (%(ids)s) ORDER BY id FOR NO KEY UPDATE"
_LOCK_CHOICES = "SELECT id FROM choice WHERE question_id = %(id)s ORDER BY id FOR NO KEY UPDATE"

# Deletes those of the next ballots, by voter, that mark nothing but %(marks)s. A range of the key, and no join: what
# PostgreSQL knows of the size of a table may be long out of date.
_FORGET_BALLOTS = f"""
    WITH part AS MATERIALIZED (
        SELECT voter
        FROM ballot
        WHERE question_id = %(id)s AND voter > %(after)s
        ORDER BY voter
        LIMIT {_AT_ONCE}
    ),
    last AS MATERIALIZED (
        SELECT voter
        FROM part
        ORDER BY voter DESC
        LIMIT 1
    ),
    forgotten AS (
        DELETE FROM ballot
        WHERE question_id = %(id)s AND voter > %(after)s AND voter <= (SELECT voter FROM last)
            AND (%(marks)s::integer[] IS NULL OR marks <@ %(marks)s)
        RETURNING voter
    )
    SELECT (SELECT voter FROM last) AS last, (SELECT count(*) FROM forgotten) AS count
"""  # noqa: S608 - a number of ours


async def add(database: Database, person: Person, draft: Draft) -> int:
    """Put a question, and return its id."""
    async with transaction(database) as connection:
        question_id: int = await connection.scalar(
            question.insert()
            .values(question_text=draft.text, pub_date=draft.pub_date, closes_at=draft.closes_at)
            .returning(question.c.id)
        )
        await _place(connection, question_id, None, draft.choices)
        added = await _after(connection, question_id)
        await record(connection, person, to_poll("added", added, _differences(None, added)))
    return question_id


async def change(
    database: Database,
    person: Person,
    question_id: int,
    draft: Draft,
    *,
    confirmed: frozenset[int] = frozenset(),
) -> None:
    """Make a poll what `draft` says.

    Choices that are removed take their ballots with them, and have to be `confirmed` by their ids if they have any.
    Raises PollNotFound, PollEdited, ChoicesHaveVotes.
    """
    async with _locked(database, [question_id]) as (connection, polls):
        if not polls or not person.may_edit(polls[0]):
            raise PollNotFound(question_id)
        before = polls[0]
        if before.edition != draft.edition:
            raise PollEdited(question_id)
        at_risk = {choice.id: choice.votes for choice in before.choices if choice.id in draft.removed and choice.votes}
        if at_risk.keys() - confirmed:
            raise ChoicesHaveVotes(at_risk)
        removed = sorted(draft.removed & {choice.id for choice in before.choices})
        if removed:
            forgotten = await _forget_ballots(connection, question_id, removed)
            # Their ballots first: what nobody has voted on any more misleads nobody when it changes.
            await connection.execute(
                question.update().where(question.c.id == question_id).values(ballots=question.c.ballots - forgotten)
            )
            await connection.execute(choice.delete().where(choice.c.id.in_(removed)))
        await _place(connection, question_id, before, draft.choices)
        old = before.question
        if (old.text, old.pub_date, old.closes_at) != (draft.text, draft.pub_date, draft.closes_at):
            await connection.execute(
                question.update()
                .where(question.c.id == question_id)
                .values(question_text=draft.text, pub_date=draft.pub_date, closes_at=draft.closes_at)
            )
        after = await _after(connection, question_id)
        if changes := _differences(before, after):
            await record(connection, person, to_poll("changed", after, changes))


async def close(database: Database, person: Person, question_ids: Sequence[int]) -> int:
    """Close those of the polls that are open, now, and return how many they were."""
    now = sa.func.least(question.c.closes_at, sa.func.clock_timestamp())  # it may have ended while we waited
    return await _set_end(database, person, "closed", question_ids, now)


async def reopen(database: Database, person: Person, question_ids: Sequence[int]) -> int:
    """Let those of the polls that have closed go on without an end, and return how many they were."""
    return await _set_end(database, person, "reopened", question_ids, None)


async def clear(database: Database, person: Person, question_ids: Sequence[int]) -> int:
    """Forget all ballots of the polls, as after a rehearsal, and return how many polls had any."""
    cleared = 0
    async with _locked(database, question_ids) as (connection, polls):
        for poll in polls:
            if not person.may_edit(poll) or not poll.ballots:
                continue
            question_id = poll.question.id
            await _forget_ballots(connection, question_id, None)
            await connection.execute(_LOCK_CHOICES, {"id": question_id})
            # The revision rises below, once for all choices.
            await connection.execute("SET LOCAL polls.recorder = 'on'")
            await connection.execute(choice.update().where(choice.c.question_id == question_id).values(votes=0))
            await connection.execute(
                question.update().where(question.c.id == question_id).values(ballots=0, edited_at=None)
            )
            after = await _after(connection, question_id)
            await record(connection, person, to_poll("cleared", after, [Change("ballots", str(poll.ballots), "0")]))
            cleared += 1
    return cleared


async def delete(database: Database, person: Person, question_ids: Sequence[int]) -> int:
    """Delete the polls with their choices and ballots, and return how many there were. Their history stays."""
    deleted = 0
    async with _locked(database, question_ids) as (connection, polls):
        for poll in polls:
            if not person.may_edit(poll):
                continue
            await _forget_ballots(connection, poll.question.id, None)
            await connection.execute(question.delete().where(question.c.id == poll.question.id))
            await record(connection, person, to_poll("deleted", poll, _differences(poll, None)))
            deleted += 1
    return deleted


async def _set_end(database: Database, person: Person, deed: str, question_ids: Sequence[int], end: object) -> int:
    count = 0
    async with _locked(database, question_ids) as (connection, polls):
        for poll in polls:
            can_be_closed = not poll.is_closed and poll.question.pub_date <= poll.as_of
            if not person.may_edit(poll) or not (poll.is_closed if end is None else can_be_closed):
                continue
            await connection.execute(question.update().where(question.c.id == poll.question.id).values(closes_at=end))
            after = await _after(connection, poll.question.id)
            await record(connection, person, to_poll(deed, after, _differences(poll, after)))
            count += 1
    return count


@asynccontextmanager
async def _locked(
    database: Database, question_ids: Sequence[int]
) -> AsyncIterator[tuple[aiopg.sa.SAConnection, list[Poll]]]:
    """A transaction in which nobody else changes these polls, and the polls that there are, by id."""
    async with transaction(database) as connection:
        locked = await connection.execute(_LOCK, {"ids": list(question_ids)})
        # Read after the lock, in statements of their own: these see what was committed while we waited.
        polls = [await read(connection, row.id) for row in await locked.fetchall()]
        yield connection, [poll for poll in polls if poll]


async def _after(connection: aiopg.sa.SAConnection, question_id: int) -> Poll:
    """The poll as the transaction has made it."""
    poll = await read(connection, question_id)
    assert poll is not None  # noqa: S101 - it holds the lock
    return poll


async def _place(
    connection: aiopg.sa.SAConnection, question_id: int, before: Poll | None, choices: Sequence[DraftChoice]
) -> None:
    """Write the choices, each at its place. Those that stay keep their ids, and so their votes."""
    known = {choice.id: choice.text for choice in before.choices} if before else {}
    order = [choice.id for choice in before.choices] if before else []
    named = [choice.id for choice in choices if choice.id in known]
    others = [choice_id for choice_id in order if choice_id not in named]
    await connection.execute(_LOCK_CHOICES, {"id": question_id})
    moves = named + others != order or len(named) < len(choices)
    for place, drafted in enumerate(choices, start=1):
        if drafted.id not in known:
            await connection.execute(
                choice.insert().values(question_id=question_id, choice_text=drafted.text, position=place)
            )
        elif moves or known[drafted.id] != drafted.text:
            values: dict[str, object] = {"position": place} if moves else {}
            if known[drafted.id] != drafted.text:
                values["choice_text"] = drafted.text
            await connection.execute(choice.update().where(choice.c.id == drafted.id).values(**values))


async def _forget_ballots(connection: aiopg.sa.SAConnection, question_id: int, marks: Sequence[int] | None) -> int:
    """Delete the poll's ballots, all or those that mark nothing but `marks`, and return how many."""
    count, after = 0, b""
    while True:
        part = await connection.execute(_FORGET_BALLOTS, {"id": question_id, "marks": marks, "after": after})
        forgotten = await part.first()
        if forgotten.last is None:
            return count
        count, after = count + forgotten.count, bytes(forgotten.last)


def _differences(before: Poll | None, after: Poll | None) -> list[Change]:
    """What is different between two states of a poll; None is the one in which it isn't there."""
    old, new = _values(before), _values(after)
    changes = [Change(what, old[what], new[what]) for what in old if old[what] != new[what]]
    was, is_now = ({choice.id: choice.text for choice in poll.choices} if poll else {} for poll in (before, after))
    changes += [
        Change("choice", was.get(id_), is_now.get(id_)) for id_ in was | is_now if was.get(id_) != is_now.get(id_)
    ]
    if [id_ for id_ in was if id_ in is_now] != [id_ for id_ in is_now if id_ in was]:
        changes.append(Change("order", ", ".join(was.values()), ", ".join(is_now.values())))
    return changes


def _values(poll: Poll | None) -> dict[str, str | None]:
    if poll is None:
        return dict.fromkeys(("text", "published", "closes", "ballots"))
    asked = poll.question
    return {
        "text": asked.text,
        "published": _written(asked.pub_date),
        "closes": _written(asked.closes_at),
        "ballots": str(poll.ballots) if poll.ballots else None,
    }


def _written(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat() if moment else None
