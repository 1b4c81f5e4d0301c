"""Reading of all polls for an export, and adding of imported ones: all or none."""

from collections.abc import Sequence

from polls.domain.permissions import Person
from polls.domain.poll import Poll
from polls.domain.poll_copy import PollCopy
from polls.storage.editing import insert
from polls.storage.postgres.pool import Database, acquired, transaction
from polls.storage.questions import read_all

_BATCH_SIZE = 500  # polls that a statement reads; none may take longer than 2 seconds (STATEMENT_TIMEOUT)

_SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
_IDS = "SELECT id FROM question ORDER BY id"
_TAKEN = "SELECT slug FROM question WHERE slug = ANY (%(slugs)s)"


async def read_polls(database: Database) -> list[Poll]:
    """Return all polls, by id. Raises PollsUnavailable."""
    async with transaction(database) as connection:
        await connection.execute(_SNAPSHOT)
        ids = [row.id for row in await (await connection.execute(_IDS)).fetchall()]
        polls: list[Poll] = []
        for start in range(0, len(ids), _BATCH_SIZE):
            polls += await read_all(connection, ids[start : start + _BATCH_SIZE])
        return polls


async def taken_slugs(database: Database, slugs: Sequence[str]) -> set[str]:
    """Return those of `slugs` that polls have. Raises PollsUnavailable."""
    async with acquired(database) as connection:
        return {row.slug for row in await (await connection.execute(_TAKEN, {"slugs": list(slugs)})).fetchall()}


async def add_polls(database: Database, person: Person, copies: Sequence[PollCopy]) -> list[Poll]:
    """Add polls, or none of them, and return them. Raises SlugTaken, PollsUnavailable."""
    async with transaction(database) as connection:
        added = []
        for copy in copies:
            others = {"is_listed": copy.is_listed, "hidden_at": copy.taken_down_at}
            poll = await insert(connection, person, copy.draft, **others)
            assert poll is not None  # nosec B101 # none has the key of a form
            added.append(poll)
        return added
