"""The database of polls on the private server."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import psycopg2
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT
from psycopg2.sql import SQL, Identifier

from polls.config.settings import Postgres
from polls.storage.postgres.connect import connect
from polls.storage.postgres.embedded.data_folder import ROLE
from polls.storage.postgres.embedded.paths import PORT
from polls.storage.postgres.embedded.server import PrivateServer
from polls.storage.postgres.primary import database_name


@contextmanager
def running(postgres: Postgres) -> Iterator[Postgres]:
    """Run the private server and yield `postgres` with its address; unchanged if the settings name a server.

    Raises UnusableDatabase if the server can't be started.
    """
    if postgres.embedded is None:
        yield postgres
        return
    server = PrivateServer(postgres.embedded)
    with server.in_use():
        private = replace(postgres, host=str(server.socket_folder), port=PORT, user=ROLE)
        _create_database(private)
        yield private


def _create_database(postgres: Postgres) -> None:
    with connect(replace(postgres, database="postgres")) as connection:
        connection.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
        # Another process may create it at the same time; PostgreSQL reports that with either error.
        exists = suppress(psycopg2.errors.DuplicateDatabase, psycopg2.errors.UniqueViolation)
        with connection.cursor() as cursor, exists:
            cursor.execute("SELECT FROM pg_database WHERE datname = %s", (database_name(postgres),))
            if cursor.rowcount == 0:
                cursor.execute(SQL("CREATE DATABASE {}").format(Identifier(database_name(postgres))))
