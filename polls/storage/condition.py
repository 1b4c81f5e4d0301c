"""Whether a database is fit for votes."""

from typing import NamedTuple

import psycopg2

from polls.storage import migrations
from polls.storage.engine import Connection, Engine, acquired

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


def needed() -> frozenset[tuple[str, str]]:
    """The migrations of this version, by name and hash. Those of newer ones are made so that it goes on."""
    return frozenset((migration.name, migration.hash) for migration in migrations.migrations())
