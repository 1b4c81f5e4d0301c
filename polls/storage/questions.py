"""Questions and their choices: the list, one poll."""

import aiopg.sa
import sqlalchemy as sa

from polls.domain.errors import PollNotFound
from polls.domain.poll import Choice, Poll, Question
from polls.storage.engine import Engine, acquired
from polls.storage.tables import choice, question


def published() -> sa.sql.ColumnElement[bool]:
    """Which questions the public may see: `domain.poll.Poll.is_published` in SQL, by the database's clock."""
    has_choices = sa.exists().where(choice.c.question_id == question.c.id).correlate(question)
    return sa.and_(question.c.pub_date <= sa.func.now(), has_choices)


async def latest(engine: Engine, *, skip: int, limit: int) -> list[Question]:
    """Published questions, newest first, without the first `skip` of them, `limit` at most."""
    statement = (
        sa.select(question)
        .where(published())
        .order_by(question.c.pub_date.desc(), question.c.id.desc())
        .offset(skip)
        .limit(limit)
    )
    async with acquired(engine) as connection:
        return [_question(row) async for row in connection.execute(statement)]


async def find(engine: Engine, question_id: int) -> Poll:
    """A published poll with its choices in their order. Raises PollNotFound."""
    statement = (
        sa.select(question, choice.c.id.label("choice_id"), choice.c.choice_text, choice.c.votes)
        .join_from(question, choice)
        .where(question.c.id == question_id, published())
        .order_by(choice.c.position, choice.c.id)
    )
    async with acquired(engine) as connection:
        rows = [row async for row in connection.execute(statement)]
    if not rows:
        raise PollNotFound(question_id)
    return Poll(_question(rows[0]), tuple(Choice(row.choice_id, row.choice_text, row.votes) for row in rows))


def _question(row: aiopg.sa.result.RowProxy) -> Question:
    return Question(row.id, row.question_text, row.pub_date)
