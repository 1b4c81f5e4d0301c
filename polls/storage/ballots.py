"""Ballots: what voters chose, counted."""

import sqlalchemy as sa

from polls.domain.errors import NothingChosen
from polls.storage.engine import Engine, acquired
from polls.storage.questions import published
from polls.storage.tables import choice, question


async def count(engine: Engine, question_id: int, choice_id: int) -> None:
    """Add one vote to a choice of a published poll, in one statement, so that simultaneous votes all count.

    Raises NothingChosen when no published poll `question_id` offers that choice.
    """
    statement = (
        sa.update(choice)
        .values(votes=choice.c.votes + 1)
        .where(
            choice.c.id == choice_id,
            choice.c.question_id == question_id,
            question.c.id == choice.c.question_id,
            published(),
        )
    )
    async with acquired(engine) as connection:
        counted = await connection.execute(statement)
    if counted.rowcount != 1:
        raise NothingChosen(question_id)
