"""Is the database writable, and its schema current: for /readyz."""

from typing import NamedTuple

import psycopg2

from polls.storage.postgres import migrations
from polls.storage.postgres.pool import Database, acquired


class Fitness(NamedTuple):
    """Whether a database takes votes (a standby doesn't), and has all that this version of polls needs."""

    is_writable: bool
    is_current: bool


async def fitness(database: Database, migrations_needed: frozenset[tuple[str, str]]) -> Fitness:
    """How fit the database is, where those migrations (name, hash) are needed. Raises PollsUnavailable."""
    async with acquired(database) as connection:
        is_writable = str(await connection.scalar("SHOW transaction_read_only")) == "off"
        if not is_writable:
            database.recheck_primary(database.pool)
        try:
            applied = await (await connection.execute("SELECT name, hash FROM migration")).fetchall()
        except psycopg2.errors.UndefinedTable:
            applied = []
    return Fitness(is_writable, migrations_needed <= {(row.name, row.hash) for row in applied})


def needed() -> frozenset[tuple[str, str]]:
    """The migrations of this version, by name and hash. Those of newer ones are made so that it goes on."""
    return frozenset((migration.name, migration.hash) for migration in migrations.migrations())
