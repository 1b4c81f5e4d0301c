"""Whether a database is fit for votes."""

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import psycopg2

from polls.storage import migrations
from polls.storage.engine import Connection, Engine, acquired
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

# Settings of the server without which a vote that was acknowledged can be lost, and how they must not be.
_WEAK = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


def weaknesses(connection: Connection) -> list[str]:
    """What endangers acknowledged votes in this database, each in a sentence for operators."""
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT name, setting FROM pg_settings WHERE name = ANY (%s) ORDER BY name", (list(_WEAK),))
        return [
            f"{name} is {setting} in PostgreSQL: votes that were counted can be lost when it crashes. Set it to on"
            for name, setting in cursor.fetchall()
            if setting == _WEAK[name]
        ]


def damage(connection: Connection) -> list[str]:
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


class Fitness(NamedTuple):
    """Whether a database takes votes (a standby doesn't), and has all that this version of polls needs."""

    is_writable: bool
    is_current: bool


async def fitness(engine: Engine, migrations_needed: frozenset[tuple[str, str]]) -> Fitness:
    """How fit the database is, where those migrations (name, hash) are needed. Raises PollsUnavailable."""
    async with acquired(engine) as connection:
        is_writable = str(await connection.scalar("SHOW transaction_read_only")) == "off"
        if not is_writable:
            engine.doubt(engine.pool)
        try:
            applied = await (await connection.execute("SELECT name, hash FROM migration")).fetchall()
        except psycopg2.errors.UndefinedTable:
            applied = []
    return Fitness(is_writable, migrations_needed <= {(row.name, row.hash) for row in applied})


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


def needed() -> frozenset[tuple[str, str]]:
    """The migrations of this version, by name and hash. Those of newer ones are made so that it goes on."""
    return frozenset((migration.name, migration.hash) for migration in migrations.migrations())
