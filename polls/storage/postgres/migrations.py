"""Schema migrations: the numbered files in sql/, applied once each, in order, under a lock."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import psycopg2

from polls import paths
from polls.config.settings import Postgres
from polls.storage.postgres.connect import Connection, UnusableDatabase, query

LOCK_KEY = 0x706F6C6C73  # of the advisory lock: "polls" in ASCII
_RETRY_INTERVAL = 0.1  # seconds between two attempts to get the lock


@dataclass(frozen=True, slots=True)
class Migration:
    """A file of sql/; its hash shows whether it was edited after it had been applied."""

    name: str
    sql: str

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


class AppliedMigration(NamedTuple):
    """A row of the table `migration`; `at` is an aware datetime."""

    hash: str
    at: datetime


def migrate(postgres: Postgres, connection: Connection, cancelled: threading.Event | None = None) -> list[str]:
    """Apply the pending migrations, each in a transaction of its own, and return their names.

    Waits while another process migrates the same database, until `cancelled` is set. A new private database gets the
    sample polls in the transaction of its last migration. Raises UnusableDatabase.
    """
    with migration_lock(connection, cancelled):
        unapplied = pending(connection)
        is_new = unapplied == migrations()
        for migration in unapplied:
            with connection, connection.cursor() as cursor:
                _apply(migration, cursor)
                if postgres.embedded and is_new and migration == unapplied[-1]:
                    cursor.execute(_sample())
    return [migration.name for migration in unapplied]


def migrations() -> list[Migration]:
    """Return the migrations of this version of polls, in order."""
    return [Migration(file.stem, file.read_text("utf-8")) for file in sorted(paths.SQL.glob("[0-9]*.sql"))]


def applied(connection: Connection) -> dict[str, AppliedMigration]:
    """Return the migrations that the database records as applied: {name: AppliedMigration}."""
    if query(connection, "SELECT to_regclass('migration')") == [(None,)]:
        return {}
    rows = query(connection, "SELECT name, hash, applied_at FROM migration ORDER BY name")
    return {name: AppliedMigration(hash_, at) for name, hash_, at in rows}


def pending(connection: Connection) -> list[Migration]:
    """Return the migrations that `migrate` would apply. Raises UnusableDatabase if an applied one was edited since."""
    done = applied(connection)
    for migration in migrations():
        if migration.name in done and migration.hash != done[migration.name].hash:
            raise UnusableDatabase(
                f"sql/{migration.name}.sql was edited after it had been applied to this database. "
                "Restore the file, and write the change as a new migration."
            )
    return [migration for migration in migrations() if migration.name not in done]


def newer(connection: Connection) -> list[str]:
    """Return the names of applied migrations of a newer version; they keep the schema usable for this one."""
    return sorted(applied(connection).keys() - {migration.name for migration in migrations()})


def load_sample(connection: Connection) -> int:
    """Add the sample polls that are missing, and return the number of choices added."""
    with connection, connection.cursor() as cursor:
        cursor.execute(_sample())
        return cursor.rowcount


@contextmanager
def migration_lock(connection: Connection, cancelled: threading.Event | None = None) -> Iterator[None]:
    """Hold the advisory lock on migrating this database; setting `cancelled` ends the wait for it.

    The lock is polled: a process that waits inside libpq doesn't react to Ctrl-C. Raises UnusableDatabase.
    """
    cancelled = cancelled or threading.Event()
    while query(connection, "SELECT pg_try_advisory_lock(%s)", LOCK_KEY) == [(False,)]:
        if cancelled.wait(_RETRY_INTERVAL):
            raise UnusableDatabase("another process was still migrating the database")
    try:
        yield
    finally:
        if not connection.closed:
            query(connection, "SELECT pg_advisory_unlock(%s)", LOCK_KEY)


def _apply(migration: Migration, cursor: psycopg2.extensions.cursor) -> None:
    cursor.execute(
        """
        CREATE TABLE IF NOT EXISTS migration (
            name       text        NOT NULL CONSTRAINT migration_pkey PRIMARY KEY,
            hash       text        NOT NULL,
            applied_at timestamptz NOT NULL DEFAULT now()
        )
        """
    )
    # Without parameters, psycopg2 doesn't interpret % in a migration.
    cursor.execute(migration.sql)
    cursor.execute("INSERT INTO migration (name, hash) VALUES (%s, %s)", (migration.name, migration.hash))


def _sample() -> str:
    return (paths.SQL / "sample_data.sql").read_text("utf-8")
