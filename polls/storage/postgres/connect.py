"""Synchronous connections for commands and migrations."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import psycopg2
from psycopg2.extensions import parse_dsn

from polls.config.settings import Postgres
from polls.storage.postgres.primary import NoPrimary, database_name, dsn, find_primary, short_error

Connection: TypeAlias = psycopg2.extensions.connection

_NO_FREE_CONNECTION = "too many clients already|remaining connection slots|too many connections for (role|database)"
# PostgreSQL logs the text of each statement that fails, and the row that violates a constraint: password hashes, keys
# of sessions, ballots. Most roles may not change that for their sessions; `polls doctor` reports a fault for these.
KEEP_VALUES_OUT_OF_LOG = """
    SELECT set_config(name, value, false)
    FROM (VALUES ('log_min_error_statement', 'panic'), ('log_error_verbosity', 'terse')) AS wanted (name, value)
    WHERE has_parameter_privilege(name, 'SET')
"""
_FIRST_WITH_PARAMETER_PRIVILEGES = 150_000


class UnusableDatabase(Exception):
    """The configured database can't serve polls; the message says why and what to do, in one line."""


@contextmanager
def connect(postgres: Postgres) -> Iterator[Connection]:
    """Open a connection without time-outs, and close it at the end.

    Raises UnusableDatabase for every error of PostgreSQL, also in the statements of the caller.
    """
    try:
        connection = psycopg2.connect(dsn(single_host(postgres)))
    except psycopg2.OperationalError as error:
        raise UnusableDatabase(connect_error_message(postgres, error)) from error
    try:
        if connection.server_version >= _FIRST_WITH_PARAMETER_PRIVILEGES:  # others are refused later, with advice
            query(connection, KEEP_VALUES_OUT_OF_LOG)
        yield connection
    except psycopg2.Error as error:
        raise UnusableDatabase(_refusal_message(error)) from error
    finally:
        connection.close()


def query(connection: Connection, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Return the rows of a statement, run in a transaction of its own."""
    with connection, connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []


def single_host(postgres: Postgres) -> Postgres:
    """Return the settings with the primary as the only host. Raises UnusableDatabase."""
    if len(postgres.hosts) == 1:
        return postgres.hosts[0]
    try:
        return find_primary(postgres).postgres
    except psycopg2.OperationalError as error:
        raise UnusableDatabase(connect_error_message(postgres, error)) from error


def libpq_environment(postgres: Postgres) -> dict[str, str]:
    """Return the connection settings as environment variables for PostgreSQL's programs. Raises UnusableDatabase.

    Arguments of a process, unlike its environment, can be read by every user.
    """
    names = {"dbname": "PGDATABASE", "application_name": "PGAPPNAME"}
    settings = parse_dsn(dsn(single_host(postgres)))
    return {names.get(key, f"PG{key.upper()}"): value for key, value in settings.items()}


def connect_error_message(postgres: Postgres, error: Exception) -> str:
    """Return why connecting has failed and what to do, in one line for operators."""
    if isinstance(error, psycopg2.ProgrammingError):
        return _refusal_message(error)
    name, message = database_name(postgres), str(error)
    if not isinstance(error, NoPrimary):
        if f'database "{name}" does not exist' in message:
            return f"the database {name} does not exist on this PostgreSQL server. Create it: createdb {name}"
        if role := re.search(r'role "(.*)" does not exist', message):
            return (
                f"can't reach PostgreSQL: {short_error(message)}. Create it: createuser {role[1]}; or set postgres.user"
            )
        if "password authentication failed" in message or "no password supplied" in message:
            return (
                "PostgreSQL refused the password. "
                "Set postgres.user and postgres.password in the configuration, or use ~/.pgpass."
            )
    if re.search(_NO_FREE_CONNECTION, message):
        return (
            f"can't reach PostgreSQL: {short_error(message)}. All connections of PostgreSQL are in use: "
            "raise max_connections there (or the limit of the role or the database), "
            f"or lower postgres.maxsize ({postgres.maxsize}, and 2 more in each process) or the number of processes."
        )
    return f"can't reach PostgreSQL: {short_error(message)}. Check the settings below postgres: in the configuration."


def _refusal_message(error: psycopg2.Error) -> str:
    message = f"PostgreSQL refused: {' '.join((error.diag.message_primary or str(error)).split())}"
    if isinstance(error, psycopg2.errors.InsufficientPrivilege | psycopg2.errors.UndefinedTable):
        return f"{message}. `polls doctor` shows what is wrong with the set-up"
    return message
