"""Owners of polls, who are known by the hash of their access key alone."""

import sqlalchemy as sa

from polls.domain.errors import PollNotFound
from polls.domain.permissions import Person
from polls.domain.poll import Poll
from polls.storage.editing import locked
from polls.storage.history import Change, record_polls
from polls.storage.postgres.pool import Database, acquired
from polls.storage.questions import read
from polls.storage.tables import poll_settings

_FIND_OWNED = "SELECT question_id FROM poll_settings WHERE owner_hash = %(key_hash)s"


async def find_poll(database: Database, key_hash: bytes) -> Poll | None:
    """Return the poll whose owner has the access key with this hash, or None."""
    async with acquired(database) as connection:
        question_id: int | None = await connection.scalar(_FIND_OWNED, {"key_hash": key_hash})
        return await read(connection, question_id) if question_id else None


async def replace_key(database: Database, person: Person, question_id: int, key_hash: bytes) -> None:
    """Give a poll that `person` owns an access key with another hash; the present key stops working.

    Raises PollNotFound if there is no such poll, or if its key has been replaced since.
    """
    async with locked(database, person, [question_id]) as (connection, polls):
        if not (polls and person.owns(polls[0])):
            raise PollNotFound(question_id)
        await connection.execute(
            sa.update(poll_settings).where(poll_settings.c.question_id == question_id).values(owner_hash=key_hash)
        )
        no_changes: list[Change] = []
        await record_polls(connection, person, "key replaced", [(polls[0], no_changes)])
