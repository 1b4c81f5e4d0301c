"""Readiness of the database for /readyz: writable, its schema current, and nothing missing that votes need."""

from typing import NamedTuple

import psycopg2

from polls.storage.checks.catalog import as_schema
from polls.storage.checks.votes import VOTE_CATALOG, VOTE_TABLES, can_store_votes
from polls.storage.postgres import migrations
from polls.storage.postgres.pool import Database, acquired


class DatabaseState(NamedTuple):
    """A database's state: writable (a standby isn't), and current: migrated, and able to store votes."""

    is_writable: bool
    is_current: bool


async def check_database(database: Database, required: frozenset[tuple[str, str]]) -> DatabaseState:
    """Return the database's state; `required` are migrations, as in `required_migrations`. Raises PollsUnavailable."""
    async with acquired(database) as connection:
        is_writable = str(await connection.scalar("SHOW transaction_read_only")) == "off"
        if not is_writable:
            database.recheck_primary(database.pool)
        found = await (await connection.execute(VOTE_CATALOG, {"tables": list(VOTE_TABLES)})).fetchall()
        try:
            applied = await (await connection.execute("SELECT name, hash FROM migration")).fetchall()
        except psycopg2.errors.UndefinedTable:
            applied = []
    is_migrated = required <= {(row.name, row.hash) for row in applied}
    schema = as_schema((row.kind, row.name, row.definition) for row in found)
    return DatabaseState(is_writable, is_migrated and can_store_votes(schema))


def required_migrations() -> frozenset[tuple[str, str]]:
    """Return the migrations of this version: {(name, hash)}. Newer ones keep the schema usable for it."""
    return frozenset((migration.name, migration.hash) for migration in migrations.migrations())
