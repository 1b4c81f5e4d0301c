"""Ballots: what voters chose, counted."""

import sqlalchemy as sa

from polls.domain.errors import NothingChosen
from polls.storage.engine import Engine, acquired, compiled
from polls.storage.questions import PUBLISHED
from polls.storage.tables import choice, question

_COUNT = compiled(
    sa.update(choice)
    .values(votes=choice.c.votes + sa.literal_column("1"))
    .where(
        choice.c.id == sa.bindparam("chosen"),
        choice.c.question_id == sa.bindparam("asked"),
        question.c.id == choice.c.question_id,
        PUBLISHED,
    )
)


async def count(engine: Engine, question_id: int, choice_id: int) -> None:
    """Add one vote to a choice of a published poll, in one statement, so that simultaneous votes all count.

    Raises NothingChosen when no published poll `question_id` offers that choice.
    """
    async with acquired(engine) as connection:
        counted = await connection.execute(_COUNT, asked=question_id, chosen=choice_id)
    if counted.rowcount != 1:
        raise NothingChosen(question_id)
