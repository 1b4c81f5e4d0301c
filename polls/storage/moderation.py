"""Actions on several polls for admins only: list, unlist, take down and put back up, each with an entry in history.

They are transactions like those in `bulk_editing`, whose `in_batches` runs them.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import aiopg.sa
import sqlalchemy as sa

from polls.domain.permissions import Person
from polls.domain.poll import Poll
from polls.domain.slugs import new_slug
from polls.storage.editing import locked
from polls.storage.history import changes_between, record_polls
from polls.storage.postgres.pool import Database
from polls.storage.questions import read_all
from polls.storage.tables import question

_UNLIST = """
    UPDATE question
    SET is_listed = false, slug = coalesce(question.slug, fresh.slug)
    FROM unnest(%(ids)s::integer[], %(slugs)s::text[]) AS fresh (id, slug)
    WHERE question.id = fresh.id
"""


async def make_listed(database: Database, person: Person, question_ids: Sequence[int]) -> int:
    """Put those of the polls that are unlisted into the public list, and return how many."""
    async with _affected(database, person, "listed", question_ids, lambda poll: not poll.question.is_listed) as found:
        connection, ids = found
        await connection.execute(question.update().where(question.c.id.in_(ids)).values(is_listed=True))
    return len(ids)


async def unlist(database: Database, person: Person, question_ids: Sequence[int]) -> int:
    """Take those of the polls that are listed out of the public list, and return how many.

    Those without a custom slug get a random one, since their id in the URL can be guessed.
    """
    async with _affected(database, person, "unlisted", question_ids, lambda poll: poll.question.is_listed) as found:
        connection, ids = found
        await connection.execute(_UNLIST, {"ids": ids, "slugs": [new_slug() for _ in ids]})
    return len(ids)


async def take_down(database: Database, person: Person, question_ids: Sequence[int]) -> int:
    """Take down those of the polls that aren't: only admins and their owner see them then. Return how many."""
    async with _affected(
        database, person, "hidden", question_ids, lambda poll: not poll.question.is_taken_down
    ) as found:
        connection, ids = found
        await connection.execute(question.update().where(question.c.id.in_(ids)).values(hidden_at=sa.func.now()))
    return len(ids)


async def put_back_up(database: Database, person: Person, question_ids: Sequence[int]) -> int:
    """Put back up those of the polls that were taken down, and return how many."""
    async with _affected(database, person, "shown", question_ids, lambda poll: poll.question.is_taken_down) as found:
        connection, ids = found
        await connection.execute(question.update().where(question.c.id.in_(ids)).values(hidden_at=None))
    return len(ids)


@asynccontextmanager
async def _affected(
    database: Database, person: Person, verb: str, question_ids: Sequence[int], is_affected: Callable[[Poll], bool]
) -> AsyncIterator[tuple[aiopg.sa.SAConnection, list[int]]]:
    """Begin a transaction, and yield its connection and the ids of the polls to change; at the end, record that."""
    async with locked(database, person, question_ids) as (connection, polls):
        affected = [poll for poll in polls if is_affected(poll)] if person.may_moderate else []
        ids = [poll.question.id for poll in affected]
        yield connection, ids
        after = await read_all(connection, ids)
        changes = [(poll, changes_between(before, poll)) for before, poll in zip(affected, after, strict=True)]
        await record_polls(connection, person, verb, changes)
