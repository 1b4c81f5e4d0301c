"""Connections of commands and migrations, without a pool and without asyncio."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

import psycopg2
from psycopg2.extensions import parse_dsn

from polls.config.settings import Postgres
from polls.storage.postgres.primary import NoHost, database_name, dsn, reason, writable

Connection: TypeAlias = psycopg2.extensions.connection


class UnusableDatabase(Exception):
    """The configured database can't serve polls; the message tells an operator why and what to do, in one line."""


@contextmanager
def connect(postgres: Postgres) -> Iterator[Connection]:
    """One connection without time limits, for commands and migrations. Raises UnusableDatabase for all that fails."""
    try:
        connection = psycopg2.connect(dsn(writable(postgres)))
    except psycopg2.OperationalError as error:
        raise UnusableDatabase(advice(postgres, error)) from error
    try:
        yield connection
    except psycopg2.Error as error:
        raise UnusableDatabase(_refusal(error)) from error
    finally:
        connection.close()


def single_host(postgres: Postgres) -> Postgres:
    """The settings with the host alone that takes votes. Raises UnusableDatabase."""
    try:
        return writable(postgres)
    except psycopg2.OperationalError as error:
        raise UnusableDatabase(advice(postgres, error)) from error


def libpq_environment(postgres: Postgres) -> dict[str, str]:
    """The same for PostgreSQL's own programs, as environment variables: arguments could be read by everybody.

    Raises UnusableDatabase.
    """
    names = {"dbname": "PGDATABASE", "application_name": "PGAPPNAME"}
    settings = parse_dsn(dsn(single_host(postgres)))
    return {names.get(key, f"PG{key.upper()}"): value for key, value in settings.items()}


def advice(postgres: Postgres, error: Exception) -> str:
    """Tell an operator why there is no connection, or none that is of use, and what would help, in one line."""
    if isinstance(error, psycopg2.ProgrammingError):
        return _refusal(error)
    name, refusal = database_name(postgres), str(error)
    if not isinstance(error, NoHost):
        if f'database "{name}" does not exist' in refusal:
            return f"the database {name} does not exist on this PostgreSQL server. Make it: createdb {name}"
        if role := re.search(r'role "(.*)" does not exist', refusal):
            return f"can't reach PostgreSQL: {reason(refusal)}. Make it: createuser {role[1]}; or set postgres.user"
        if "password authentication failed" in refusal or "no password supplied" in refusal:
            return (
                "PostgreSQL refused the password. "
                "Set postgres.user and postgres.password in the configuration, or use ~/.pgpass."
            )
    return f"can't reach PostgreSQL: {reason(refusal)}. Check what stands below postgres: in the configuration."


def _refusal(error: psycopg2.Error) -> str:
    refusal = f"PostgreSQL refused: {' '.join(str(error).split())}"
    if isinstance(error, psycopg2.errors.InsufficientPrivilege | psycopg2.errors.UndefinedTable):
        return f"{refusal}. `polls doctor` tells what is wrong with the set-up"
    return refusal
