"""Schema changes: the numbered files in sql/, applied in order, once each, whoever else tries at the same time."""

import hashlib
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import psycopg2

from polls import paths
from polls.config.settings import Postgres
from polls.storage.postgres.connect import Connection, UnusableDatabase
from polls.storage.tables import metadata

logger = logging.getLogger(__name__)

_LOCK = 0x706F6C6C73  # any number that is ours: "polls" in ASCII
_ASK_AGAIN = 0.1  # seconds until a lock that somebody holds is asked for again


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


def prepare(postgres: Postgres, connection: Connection, given_up: threading.Event | None = None) -> None:
    """Make the database fit for serving.

    Raises UnusableDatabase, also where the schema is behind and the configuration leaves `migrate` to the operator, and
    where tables are missing. One that a newer version has taken further is fit: while versions change, processes of the
    older one may have to start.
    """
    if lost := missing_tables(connection):
        raise UnusableDatabase(lost)
    if postgres.migrate:
        migrate(postgres, connection, given_up)
    elif behind := pending(connection):
        names = ", ".join(migration.name for migration in behind)
        raise UnusableDatabase(
            f"the database lacks {names}. Apply what is missing with `python -m polls migrate` and the same --config"
        )
    if later := newer(connection):
        logger.warning("a newer version of polls has applied %s to the database; going on", ", ".join(later))


def migrate(postgres: Postgres, connection: Connection, given_up: threading.Event | None = None) -> list[str]:
    """Apply what is pending, each migration in a transaction of its own, and return their names.

    Waits while another process migrates the same database, until `given_up` is set. A new private database gets the
    sample polls too, together with its schema. Raises UnusableDatabase.
    """
    with alone(connection, given_up):
        todo = pending(connection)
        is_new = todo == migrations()
        for migration in todo:
            with connection, connection.cursor() as cursor:
                _apply(migration, cursor)
                if postgres.embedded and is_new and migration == todo[-1]:
                    cursor.execute(_sample())
    return [migration.name for migration in todo]


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


def newer(connection: Connection) -> list[str]:
    """What a newer version of polls has applied."""
    return sorted(applied(connection).keys() - {migration.name for migration in migrations()})


def missing_tables(connection: Connection) -> str | None:
    """Which of our tables were dropped, and what to do, in words; None where everything is there, or will be."""
    done = applied(connection).keys()
    ours = {migration.name for migration in migrations()}
    with connection, connection.cursor() as cursor:
        tables = [*metadata.tables, "migration"]
        cursor.execute("SELECT name FROM unnest(%s) AS ours (name) WHERE to_regclass(name) IS NULL", (tables,))
        gone = [name for (name,) in cursor.fetchall()]
    # Before all of ours are applied, some are not there yet; and a newer version may have put others in their place.
    if gone == ["migration"] or (gone and done == ours):
        return (
            f"somebody has dropped what polls had made in this database: {', '.join(gone)}. "
            "Restore a backup into a new one: `polls restore`"
        )
    return None


def load_sample(connection: Connection) -> int:
    """Add the sample polls that aren't there yet, and return how many choices they brought."""
    with connection, connection.cursor() as cursor:
        cursor.execute(_sample())
        return cursor.rowcount


@contextmanager
def alone(connection: Connection, given_up: threading.Event | None = None) -> Iterator[None]:
    """Nobody else migrates this database meanwhile. Waits for who does, until `given_up` is set.

    The lock is asked for again and again: a process that waited inside PostgreSQL's library would not hear Ctrl-C.
    """
    given_up = given_up or threading.Event()
    while not _call(connection, "SELECT pg_try_advisory_lock(%s)"):
        if given_up.wait(_ASK_AGAIN):
            raise UnusableDatabase("another process was still migrating the database")
    try:
        yield
    finally:
        if not connection.closed:
            _call(connection, "SELECT pg_advisory_unlock(%s)")


def _call(connection: Connection, lock: str) -> bool:
    with connection, connection.cursor() as cursor:
        cursor.execute(lock, (_LOCK,))
        return cursor.fetchone() == (True,)


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
    # Executed without parameters: a % in a migration means itself.
    cursor.execute(migration.sql)
    cursor.execute("INSERT INTO migration (name, hash) VALUES (%s, %s)", (migration.name, migration.hash))


def _sample() -> str:
    return (paths.SQL / "sample_data.sql").read_text("utf-8")
