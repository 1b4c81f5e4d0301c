"""Preparation of the database before a process or a command uses it."""

import logging
import threading

from polls.config.settings import Postgres
from polls.storage.checks.schema import describe_unusable_tables
from polls.storage.checks.server import describe_encoding, describe_old_version
from polls.storage.checks.session import describe_shared_session
from polls.storage.postgres import migrations
from polls.storage.postgres.connect import Connection, UnusableDatabase

logger = logging.getLogger(__name__)


def prepare(postgres: Postgres, connection: Connection, cancelled: threading.Event | None = None) -> None:
    """Migrate the schema, or check that it is current; setting `cancelled` ends the wait for the migration lock.

    Raises UnusableDatabase, also if migrations are pending and `postgres.migrate` is off, and as `check_fitness` does.
    A schema that a newer version has migrated further is accepted: during an upgrade, processes of the older version
    may have to start.
    """
    check_fitness(postgres, connection)
    if postgres.migrate:
        migrations.migrate(postgres, connection, cancelled)
    elif unapplied := migrations.pending(connection):
        names = ", ".join(migration.name for migration in unapplied)
        raise UnusableDatabase(f"the database lacks {names}. Run `python -m polls migrate` with the same --config")
    if names_of_newer := migrations.newer(connection):
        logger.warning(
            "a newer version of polls has applied %s to the database; this one works with it", ", ".join(names_of_newer)
        )


def check_fitness(postgres: Postgres, connection: Connection) -> None:
    """Raise UnusableDatabase if polls would fail in this database, or if a pooler shares its sessions."""
    problem = (
        describe_old_version(connection)
        or describe_encoding(connection)
        or describe_shared_session(connection, postgres)
        or describe_unusable_tables(connection)
    )
    if problem:
        raise UnusableDatabase(problem)
