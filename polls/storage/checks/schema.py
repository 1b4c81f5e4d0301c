"""Changes made by hand to our tables and triggers that endanger votes or stale pages."""

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from polls.storage.postgres import migrations
from polls.storage.postgres.connect import Connection
from polls.storage.tables import metadata

_UNLOGGED = """
    SELECT oid::regclass::text
    FROM unnest(%s) WITH ORDINALITY AS ours (name, place)
    JOIN pg_class ON pg_class.oid = to_regclass(name)
    WHERE relpersistence = 'u'
    ORDER BY place
"""

_TRIGGERS = """
    SELECT tgrelid::regclass::text, tgname, tgenabled IN ('O', 'A'), tgisinternal
    FROM pg_trigger
    WHERE tgrelid = ANY (SELECT to_regclass(name) FROM unnest(%s) AS ours (name))
    ORDER BY 1, 2
"""

_DEEDS = re.compile(r"^(CREATE|DROP)(?: OR REPLACE)?(?: CONSTRAINT)? TRIGGER(?: IF EXISTS)? (\w+)", re.MULTILINE)


def schema_damage(connection: Connection) -> list[str]:
    """What was done by hand to our tables that endangers votes, or the truth of pages: sentences for operators."""
    tables = [table.name for table in metadata.sorted_tables]  # one that another refers to is made LOGGED before it
    with connection, connection.cursor() as cursor:
        cursor.execute(_UNLOGGED, (tables,))
        unlogged = [name for (name,) in cursor.fetchall()]
        cursor.execute(_TRIGGERS, (tables,))
        triggers = [_Trigger(*row) for row in cursor.fetchall()]
    ours = _triggers_of(migrations.migrations())
    disabled = defaultdict(list)
    for trigger in triggers:
        if not trigger.is_enabled and (trigger.is_postgresqls or trigger.name in ours):
            disabled[trigger.table].append(trigger)
    # A newer version may have replaced some.
    gone = {} if migrations.newer(connection) else ours.keys() - {trigger.name for trigger in triggers}
    return [
        *(
            f"the table {table} is unlogged: a crash of PostgreSQL empties it. ALTER TABLE {table} SET LOGGED"
            for table in unlogged
        ),
        *(
            f"triggers of the table {table} are disabled: pages may show what was before. ALTER TABLE {table} "
            f"ENABLE TRIGGER {'ALL' if any(trigger.is_postgresqls for trigger in found) else 'USER'}"
            for table, found in disabled.items()
        ),
        *(
            f"the trigger {name} is missing: pages may show what was before. Make it anew, as {file} says"
            for name, file in ours.items()
            if name in gone
        ),
    ]


class _Trigger(NamedTuple):
    """A trigger that is there; PostgreSQL's own hold foreign keys."""

    table: str
    name: str
    is_enabled: bool
    is_postgresqls: bool


def _triggers_of(applied: Iterable[migrations.Migration]) -> dict[str, str]:
    """The triggers that are there after these migrations: {name: the file that has made it}."""
    triggers = {}
    for migration in applied:
        for deed, name in _DEEDS.findall(migration.sql):
            if deed == "CREATE":
                triggers[name] = f"sql/{migration.name}.sql"
            else:
                triggers.pop(name, None)
    return triggers
