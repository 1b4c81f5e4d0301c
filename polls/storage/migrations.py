"""Schema changes: the numbered files in sql/, applied in order, once each, whoever else tries at the same time."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from polls import paths
from polls.config import Postgres
from polls.storage.engine import Connection, UnusableDatabase

_LOCK = 0x706F6C6C73  # any number that is ours: "polls" in ASCII


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of sql/: what it is called, what it does, and a hash by which a later edit is noticed."""

    name: str
    sql: str

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Applied:
    """What the database remembers of a migration; `at` is an aware datetime."""

    hash: str
    at: datetime


def prepare(postgres: Postgres, connection: Connection) -> None:
    """Make the database fit for serving.

    Raises UnusableDatabase, also where the schema is behind and the configuration leaves `migrate` to the operator.
    """
    if postgres.migrate:
        migrate(postgres, connection)
    elif behind := pending(connection):
        names = ", ".join(migration.name for migration in behind)
        raise UnusableDatabase(f"the database lacks {names}. Apply what is missing: python -m polls migrate")


def migrate(postgres: Postgres, connection: Connection) -> list[str]:
    """Apply what is pending, each migration in a transaction of its own, and return their names.

    Waits while another process migrates the same database. A new private database gets the sample polls too.
    Raises UnusableDatabase.
    """
    with _alone(connection):
        names = [migration.name for migration in pending(connection)]
        for migration in migrations():
            if migration.name in names:
                _apply(migration, connection)
        if postgres.embedded and names == [migration.name for migration in migrations()]:
            load_sample(connection)
    return names


def migrations() -> list[Migration]:
    """All that this version of polls knows, in order."""
    return [Migration(file.stem, file.read_text("utf-8")) for file in sorted(paths.SQL.glob("[0-9]*.sql"))]


def applied(connection: Connection) -> dict[str, Applied]:
    """What this database has had applied: {name of the migration: Applied}."""
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('migration') IS NOT NULL")
        if cursor.fetchone() != (True,):
            return {}
        cursor.execute("SELECT name, hash, applied_at FROM migration ORDER BY name")
        return {name: Applied(hash_, at) for name, hash_, at in cursor.fetchall()}


def pending(connection: Connection) -> list[Migration]:
    """What `migrate` would apply now. Raises UnusableDatabase when an applied migration was edited since.

    Migrations that only the database knows are a newer version's: those are made so that this version goes on.
    """
    done = applied(connection)
    for migration in migrations():
        if migration.name in done and migration.hash != done[migration.name].hash:
            raise UnusableDatabase(
                f"sql/{migration.name}.sql was edited after it had been applied to this database. "
                "Put it back as it was, and write the change as a new migration."
            )
    return [migration for migration in migrations() if migration.name not in done]


def load_sample(connection: Connection) -> int:
    """Add the sample polls that aren't there yet, and return how many choices they brought."""
    with connection, connection.cursor() as cursor:
        cursor.execute((paths.SQL / "sample_data.sql").read_text("utf-8"))
        return cursor.rowcount


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """Nobody else migrates this database meanwhile."""
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
    try:
        yield
    finally:
        if not connection.closed:
            with connection, connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))


def _apply(migration: Migration, connection: Connection) -> None:
    with connection, connection.cursor() as cursor:
        cursor.execute(
            """
            CREATE TABLE IF NOT EXISTS migration (
                name       text        NOT NULL CONSTRAINT migration_pkey PRIMARY KEY,
                hash       text        NOT NULL,
                applied_at timestamptz NOT NULL DEFAULT now()
            )
            """
        )
        # Executed without parameters: a % in a migration means itself.
        cursor.execute(migration.sql)
        cursor.execute("INSERT INTO migration (name, hash) VALUES (%s, %s)", (migration.name, migration.hash))
