"""Checks of the schema: pending migrations, dropped tables, tables of other programs, and manual changes."""

import re

from polls.config.settings import Postgres
from polls.storage.checks.catalog import read_schema
from polls.storage.checks.differences import differences, expected_schema, expected_tables
from polls.storage.checks.findings import CheckResults, fault, note, ok
from polls.storage.checks.remedies import describe
from polls.storage.postgres import migrations
from polls.storage.postgres.connect import Connection, query
from polls.storage.tables import metadata

_MISSING_TABLES = "SELECT name FROM unnest(%s) AS ours (name) WHERE to_regclass(name) IS NULL"

_NAMES_IN_USE = """
    SELECT name
    FROM unnest(%s::text[]) AS wanted (name)
    JOIN pg_class ON relname = name AND relnamespace = current_schema()::regnamespace
"""

_IS_OUR_MIGRATION_TABLE = """
    SELECT count(*) = 3
    FROM pg_attribute
    WHERE attrelid = to_regclass('migration') AND attname IN ('name', 'hash', 'applied_at') AND NOT attisdropped
"""

_CREATED_TABLE = re.compile(r"^CREATE TABLE (\w+)", re.MULTILINE)

_UNLOGGED = """
    SELECT oid::regclass::text
    FROM unnest(%s) WITH ORDINALITY AS ours (name, position)
    JOIN pg_class ON pg_class.oid = to_regclass(name)
    WHERE relpersistence = 'u'
    ORDER BY position
"""

_DISABLED_TRIGGERS = """
    SELECT ours.name, tgname, tgisinternal
    FROM unnest(%s) AS ours (name)
    JOIN pg_trigger ON tgrelid = to_regclass(ours.name)
    WHERE tgenabled NOT IN ('O', 'A')
    ORDER BY 1, 2
"""


def check_schema(connection: Connection, postgres: Postgres) -> CheckResults:
    """Check that all migrations are applied and that what they made exists unchanged."""
    if problem := describe_unusable_tables(connection):
        yield fault(problem)
        return
    pending = [migration.name for migration in migrations.pending(connection)]
    newer = migrations.newer(connection)
    if pending and postgres.migrate:
        yield note(f"{', '.join(pending)} not applied yet; it will be when polls starts")
    elif pending:
        yield fault(f"{', '.join(pending)} not applied, and postgres.migrate is off. Run `polls migrate`")
    elif damage := schema_damage(connection):
        yield from map(fault, damage)
    else:
        yield ok(f"all {len(migrations.migrations())} migrations are applied, and what they made is unchanged")
    if newer:
        yield note(f"{', '.join(newer)} of a newer version of polls; this one works with it")


def describe_unusable_tables(connection: Connection) -> str | None:
    """Return a message for operators about tables that were dropped, or that belong to another program; else None."""
    if query(connection, "SELECT to_regclass('migration')") != [(None,)]:
        ((is_ours,),) = query(connection, _IS_OUR_MIGRATION_TABLE)
        if not is_ours:
            return _describe_foreign(["migration"])
    if problem := describe_missing_tables(connection):
        return problem
    # In this order: another process may be applying migrations meanwhile.
    names = [table for migration in migrations.migrations() for table in _created_tables(migration)]
    in_use = {name for (name,) in query(connection, _NAMES_IN_USE, names)}
    unapplied = [table for migration in migrations.pending(connection) for table in _created_tables(migration)]
    foreign = [name for name in unapplied if name in in_use]
    return _describe_foreign(foreign) if foreign else None


def _created_tables(migration: migrations.Migration) -> list[str]:
    return _CREATED_TABLE.findall(migration.sql)


def _describe_foreign(tables: list[str]) -> str:
    return (
        f"tables of these names belong to another program: {', '.join(tables)}. "
        "Give polls a database of its own: createdb NAME; and set postgres.database"
    )


def describe_missing_tables(connection: Connection) -> str | None:
    """Return a message for operators that names the dropped tables and the remedy; None if none is missing."""
    done = migrations.applied(connection).keys()
    ours = {migration.name for migration in migrations.migrations()}
    missing = [name for (name,) in query(connection, _MISSING_TABLES, expected_tables())]
    # While migrations are pending, their tables don't exist yet; and a newer version may have replaced tables.
    if missing == ["migration"] or (missing and done == ours):
        return (
            f"tables of polls were dropped from this database: {', '.join(missing)}. "
            "Restore a backup into a new database: `polls restore`"
        )
    return None


def schema_damage(connection: Connection) -> list[str]:
    """Return a sentence for operators on each manual change of the schema: the problem, its consequence, the remedy."""
    damage = [*_unlogged_tables(connection), *_disabled_triggers(connection)]
    if not migrations.newer(connection):  # they may have changed anything that this version can do without
        found = read_schema(connection, expected_tables(), list(expected_schema()["function"]))
        damage += map(describe, differences(found))
    return damage


def _unlogged_tables(connection: Connection) -> list[str]:
    tables = [table.name for table in metadata.sorted_tables]  # a referenced table must be made LOGGED first
    return [
        f"the table {table} is unlogged: a crash of PostgreSQL empties it. ALTER TABLE {table} SET LOGGED"
        for (table,) in query(connection, _UNLOGGED, tables)
    ]


def _disabled_triggers(connection: Connection) -> list[str]:
    disabled: dict[str, str] = {}
    for table, trigger, is_internal in query(connection, _DISABLED_TRIGGERS, expected_tables()):
        if is_internal:  # it enforces a foreign key
            disabled[table] = "ALL"
        elif f"{table}.{trigger}" in expected_schema()["trigger"]:
            disabled.setdefault(table, "USER")
    return [
        f"triggers of the table {table} are disabled: pages may be stale. ALTER TABLE {table} ENABLE TRIGGER {kind}"
        for table, kind in disabled.items()
    ]
