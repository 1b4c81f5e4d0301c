"""Checks of the schema: pending migrations, and manual changes that endanger votes or make pages stale."""

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from polls.config.settings import Postgres
from polls.storage.checks.findings import Results, fault, note, ok
from polls.storage.checks.query import query
from polls.storage.postgres import migrations
from polls.storage.postgres.connect import Connection
from polls.storage.tables import metadata

_UNLOGGED = """
    SELECT oid::regclass::text
    FROM unnest(%s) WITH ORDINALITY AS ours (name, position)
    JOIN pg_class ON pg_class.oid = to_regclass(name)
    WHERE relpersistence = 'u'
    ORDER BY position
"""

_TRIGGERS = """
    SELECT tgrelid::regclass::text, tgname, tgenabled IN ('O', 'A'), tgisinternal
    FROM pg_trigger
    WHERE tgrelid = ANY (SELECT to_regclass(name) FROM unnest(%s) AS ours (name))
    ORDER BY 1, 2
"""

_TRIGGER_STATEMENT = re.compile(
    r"^(CREATE|DROP)(?: OR REPLACE)?(?: CONSTRAINT)? TRIGGER(?: IF EXISTS)? (\w+)", re.MULTILINE
)


def check_schema(connection: Connection, postgres: Postgres) -> Results:
    """Check that all migrations are applied and that their tables and triggers exist unchanged."""
    pending = [migration.name for migration in migrations.pending(connection)]
    newer = migrations.newer(connection)
    if problem := migrations.describe_missing_tables(connection):
        yield fault(problem)
    elif pending and postgres.migrate:
        yield note(f"{', '.join(pending)} not applied yet; it will be when polls starts")
    elif pending:
        yield fault(f"{', '.join(pending)} not applied, and postgres.migrate is off. Run `polls migrate`")
    elif damage := schema_damage(connection):
        yield from map(fault, damage)
    else:
        yield ok(f"all {len(migrations.migrations())} migrations are applied, and their tables and triggers exist")
    if newer:
        yield note(f"{', '.join(newer)} of a newer version of polls; this one works with it")


def schema_damage(connection: Connection) -> list[str]:
    """Return a sentence for operators on each manual change that endangers votes or makes pages stale."""
    tables = [table.name for table in metadata.sorted_tables]  # a referenced table must be made LOGGED first
    unlogged = [name for (name,) in query(connection, _UNLOGGED, tables)]
    triggers = [_Trigger(*row) for row in query(connection, _TRIGGERS, tables)]
    ours = _triggers_after(migrations.migrations())
    disabled = defaultdict(list)
    for trigger in triggers:
        if not trigger.is_enabled and (trigger.is_internal or trigger.name in ours):
            disabled[trigger.table].append(trigger)
    # A newer version may have replaced triggers.
    missing = {} if migrations.newer(connection) else ours.keys() - {trigger.name for trigger in triggers}
    return [
        *(
            f"the table {table} is unlogged: a crash of PostgreSQL empties it. ALTER TABLE {table} SET LOGGED"
            for table in unlogged
        ),
        *(
            f"triggers of the table {table} are disabled: pages may be stale. ALTER TABLE {table} "
            f"ENABLE TRIGGER {'ALL' if any(trigger.is_internal for trigger in found) else 'USER'}"
            for table, found in disabled.items()
        ),
        *(
            f"the trigger {name} is missing: pages may be stale. Create it again as in {file}"
            for name, file in ours.items()
            if name in missing
        ),
    ]


class _Trigger(NamedTuple):
    """A trigger in the database; `is_internal` ones enforce foreign keys."""

    table: str
    name: str
    is_enabled: bool
    is_internal: bool


def _triggers_after(applied: Iterable[migrations.Migration]) -> dict[str, str]:
    """Return the triggers that exist after these migrations: {name: the file that creates it}."""
    triggers = {}
    for migration in applied:
        for verb, name in _TRIGGER_STATEMENT.findall(migration.sql):
            if verb == "CREATE":
                triggers[name] = f"sql/{migration.name}.sql"
            else:
                triggers.pop(name, None)
    return triggers
