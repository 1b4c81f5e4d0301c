"""Polls that visitors ask: each has the hash of its owner's key, and a random slug."""

from collections.abc import Sequence

import aiopg.sa
import psycopg2

from polls.domain.draft import Draft
from polls.domain.permissions import Person
from polls.domain.poll import Poll
from polls.domain.slugs import new_slug
from polls.storage import editing, questions
from polls.storage.postgres.pool import Database, acquired, transaction

_SLUG = "SELECT slug FROM question JOIN poll_settings ON question_id = id WHERE owner_hash = %(owner_hash)s"
_WRITE_OWNER = """
    INSERT INTO poll_settings (question_id, owner_hash, asked_at)
    VALUES (%(question_id)s, %(owner_hash)s, now())
    ON CONFLICT (question_id) DO UPDATE
    SET owner_hash = excluded.owner_hash, asked_at = excluded.asked_at
"""
_IDS = """
    SELECT id
    FROM question
    JOIN poll_settings ON question_id = id
    WHERE slug = ANY (%(slugs)s) AND asked_at IS NOT NULL
"""


class _AskedAlready(Exception):
    """A poll with this owner exists."""


async def add(database: Database, person: Person, draft: Draft, owner_hash: bytes) -> str:
    """Add a poll that is in no list, and return its slug: that of the earlier one if the owner has added one."""
    slug = new_slug()
    try:
        async with transaction(database) as connection:
            added = await editing.insert(connection, person, draft, slug=slug, is_listed=False)
            if added is not None:  # always: without a form key no row conflicts
                await _write_owner(connection, added.question.id, owner_hash)
    except _AskedAlready:
        async with acquired(database) as connection:
            return await connection.scalar(_SLUG, {"owner_hash": owner_hash}) or slug
    return slug


async def _write_owner(connection: aiopg.sa.SAConnection, question_id: int, owner_hash: bytes) -> None:
    """Store the owner of a new poll. Raises _AskedAlready, with which the transaction that adds it ends."""
    try:
        await connection.execute(_WRITE_OWNER, {"question_id": question_id, "owner_hash": owner_hash})
    except psycopg2.errors.UniqueViolation:
        raise _AskedAlready from None


async def find_all(database: Database, slugs: Sequence[str]) -> list[Poll]:
    """Return those of the polls that exist and were asked by visitors, in the order of `slugs`."""
    async with acquired(database) as connection:
        found = await connection.execute(_IDS, {"slugs": list(slugs)})
        ids = [row.id for row in await found.fetchall()]
        polls = await questions.read_all(connection, ids)
    return sorted(polls, key=lambda poll: slugs.index(poll.question.slug))
