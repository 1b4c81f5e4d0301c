"""Readiness of the database for /readyz: writable, its schema current, and nothing missing that votes need."""

import re
from typing import NamedTuple

import psycopg2

from polls.storage.checks.catalog import COLUMNS, REQUIRED, UNIQUE, Schema, as_schema, catalog_query
from polls.storage.checks.differences import (
    Difference,
    columns_that_refuse_rows,
    definitions_that_differ,
    expected_schema,
)
from polls.storage.postgres import migrations
from polls.storage.postgres.pool import Database, acquired

_VOTE_TABLES = ("question", "choice", "ballot")

# Cheap enough for each request to /readyz: no definition is decompiled, and no table is locked.
_VOTE_CATALOG = catalog_query(COLUMNS, REQUIRED, UNIQUE)

_CONFLICT_KEY = "question_id, voter"  # of ON CONFLICT in storage/ballot_sql.py
_LENGTH = re.compile(r"\([\d,]+\)")
_SAME_USE = {"smallint": "integer", "bigint": "integer", "character varying": "text"}


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
        found = await (await connection.execute(_VOTE_CATALOG, {"tables": list(_VOTE_TABLES)})).fetchall()
        try:
            applied = await (await connection.execute("SELECT name, hash FROM migration")).fetchall()
        except psycopg2.errors.UndefinedTable:
            applied = []
        is_migrated = required <= {(row.name, row.hash) for row in applied}
        schema = as_schema((row.kind, row.name, row.definition) for row in found)
        state = DatabaseState(is_writable, is_migrated and _can_store_votes(schema))
        if not all(state):
            database.discard(connection)  # a new session may not be read-only any more, or find the tables
    return state


def required_migrations() -> frozenset[tuple[str, str]]:
    """Return the migrations of this version: {(name, hash)}. Newer ones keep the schema usable for it."""
    return frozenset((migration.name, migration.hash) for migration in migrations.migrations())


def _can_store_votes(found: Schema) -> bool:
    has_key = any(
        name.startswith("ballot.") and columns == _CONFLICT_KEY for name, columns in found.get("unique", {}).items()
    )
    found_otherwise = (
        *definitions_that_differ({"column": expected_schema()["column"]}, found),
        *columns_that_refuse_rows(found),
    )
    return has_key and not any(map(stops_votes, found_otherwise))


def stops_votes(difference: Difference) -> bool:
    """Return whether no ballot can be stored because of this difference."""
    match difference.kind:
        case "column":
            is_usable = difference.found is not None and _use_of(difference.found) == _use_of(difference.expected)
            return difference.table in _VOTE_TABLES and not difference.generated_as and not is_usable
        case "constraint":
            return difference.name == "ballot.ballot_pkey"
        case "required":
            return difference.table == "ballot"
    return False


def _use_of(column_type: str) -> str:
    """Return one name for types that can be exchanged: a wider integer, or a text without a limit, takes votes too."""
    element, bracket, _ = _LENGTH.sub("", column_type).partition("[")
    return _SAME_USE.get(element, element) + bracket
