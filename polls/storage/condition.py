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
    FROM pg_class
    WHERE relpersistence = 'u' AND oid = ANY (SELECT to_regclass(name) FROM unnest(%s) AS ours (name))
    ORDER BY 1
"""

_TRIGGERS = """
    SELECT tgrelid::regclass::text, tgname, tgenabled IN ('O', 'A'), tgisinternal
    FROM pg_trigger
    WHERE tgrelid = ANY (SELECT to_regclass(name) FROM unnest(%s) AS ours (name))
    ORDER BY 1, 2
"""

# Settings of the server without which a vote that was acknowledged can be lost, and how they must not be.
_WEAK = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


def weaknesses(connection: Connection) -> list[str]:
    """What endangers acknowledged votes in this database, each in a sentence for operators."""
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT name, setting FROM pg_settings WHERE name = ANY (%s) ORDER BY name", (list(_WEAK),))
        weak = [
            f"{name} is {setting} in PostgreSQL: votes that were counted can be lost when it crashes. Set it to on"
            for name, setting in cursor.fetchall()
            if setting == _WEAK[name]
        ]
        cursor.execute(_UNLOGGED, (list(metadata.tables),))
        return weak + [
            f"the table {name} is unlogged: a crash of PostgreSQL empties it. ALTER TABLE {name} SET LOGGED"
            for (name,) in cursor.fetchall()
        ]


def silent_triggers(connection: Connection) -> list[str]:
    """What endangers the truth of pages: triggers of ours that are disabled or gone, in sentences for operators."""
    with connection, connection.cursor() as cursor:
        cursor.execute(_TRIGGERS, (list(metadata.tables),))
        triggers = cursor.fetchall()
    disabled = defaultdict(list)
    for table, _, is_enabled, is_postgresqls in triggers:
        if not is_enabled:
            disabled[table].append(is_postgresqls)
    ours = migrations.migrations()
    gone = _triggers_of(ours).keys() - {name for _, name, *_ in triggers}
    if migrations.applied(connection).keys() - {migration.name for migration in ours}:
        gone = set()  # a newer version may have replaced some
    return [
        *(
            f"triggers of the table {table} are disabled: pages may show what was before. "
            f"ALTER TABLE {table} ENABLE TRIGGER {'ALL' if any(are_postgresqls) else 'USER'}"
            for table, are_postgresqls in disabled.items()
        ),
        *(
            f"the trigger {name} is missing: pages may show what was before. Make it anew, as {file} says"
            for name, file in _triggers_of(ours).items()
            if name in gone
        ),
    ]


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
        for deed, name in re.findall(r"^(CREATE|DROP) TRIGGER (\w+)", migration.sql, re.MULTILINE):
            if deed == "CREATE":
                triggers[name] = f"sql/{migration.name}.sql"
            else:
                del triggers[name]
    return triggers


def needed() -> frozenset[tuple[str, str]]:
    """The migrations of this version, by name and hash. Those of newer ones are made so that it goes on."""
    return frozenset((migration.name, migration.hash) for migration in migrations.migrations())
