"""Questions and their choices: the list, one poll."""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

import aiopg.sa
import sqlalchemy as sa

from polls.domain.poll import Choice, Poll, Question
from polls.storage.postgres.pool import Database, acquired, compiled
from polls.storage.tables import choice, question

# Which questions the public may see: `domain.poll.Poll.is_published` in SQL, by the database's clock.
PUBLISHED = sa.and_(
    question.c.pub_date <= sa.func.now(),
    sa.exists().where(choice.c.question_id == question.c.id).correlate(question),
)

# What `as_question` and `as_poll` read.
QUESTION = (
    question.c.id,
    question.c.question_text,
    question.c.pub_date,
    question.c.closes_at,
    question.c.edited_at,
)
POLL = (
    *QUESTION,
    question.c.ballots,
    question.c.revision,
    question.c.edition,
    choice.c.id.label("choice_id"),
    choice.c.choice_text,
    choice.c.votes,
    sa.func.now().label("as_of"),
)

_LATEST = compiled(
    sa.select(*QUESTION)
    .where(PUBLISHED)
    .order_by(question.c.pub_date.desc(), question.c.id.desc())
    .offset(sa.bindparam("skip"))
    .limit(sa.bindparam("limit"))
)

_NEXT = compiled(sa.select(sa.func.min(question.c.pub_date).label("moment")).where(question.c.pub_date > sa.func.now()))

_FIND = compiled(
    sa.select(*POLL)
    .join_from(question, choice, isouter=True)
    .where(question.c.id == sa.bindparam("question_id"))
    .order_by(choice.c.position, choice.c.id)
)


async def latest(database: Database, *, skip: int, limit: int) -> list[Question]:
    """Published questions, newest first, without the first `skip` of them, `limit` at most."""
    async with acquired(database) as connection:
        found = await connection.execute(_LATEST, skip=skip, limit=limit)
        return [as_question(row) async for row in found]


async def next_publication(database: Database) -> datetime | None:
    """When the next scheduled question will be published, None where there is none."""
    async with acquired(database) as connection:
        moment: datetime | None = await connection.scalar(_NEXT)
        return moment


async def find(database: Database, question_id: int) -> Poll | None:
    """A poll with its choices in their order, published or not; None where there is none."""
    async with acquired(database) as connection:
        return await read(connection, question_id)


async def read(connection: aiopg.sa.SAConnection, question_id: int) -> Poll | None:
    """The same, as the transaction of `connection` sees it."""
    rows = await (await connection.execute(_FIND, question_id=question_id)).fetchall()
    return as_poll(rows) if rows else None


async def find_all(database: Database, question_ids: Sequence[int]) -> list[Poll]:
    """Those of the polls that there are, by id."""
    async with acquired(database) as connection:
        found = await connection.execute(
            sa.select(*POLL)
            .join_from(question, choice, isouter=True)
            .where(question.c.id.in_(question_ids))
            .order_by(question.c.id, choice.c.position, choice.c.id)
        )
        rows = await found.fetchall()
    return [as_poll(list(of_poll)) for _, of_poll in groupby(rows, lambda row: row.id)]


def as_question(row: Any) -> Question:  # noqa: ANN401 - aiopg has no types
    """The question in a row of QUESTION."""
    return Question(row.id, row.question_text, row.pub_date, row.closes_at, row.edited_at)


def as_poll(rows: Sequence[Any]) -> Poll:
    """The poll in rows of POLL: one for each of its choices, in their order, or one where it has none."""
    first = rows[0]
    choices = tuple(Choice(row.choice_id, row.choice_text, row.votes) for row in rows if row.choice_id is not None)
    return Poll(as_question(first), choices, first.as_of, first.ballots, first.revision, first.edition)
