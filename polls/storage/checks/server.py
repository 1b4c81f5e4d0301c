"""Checks of the server: its version and encoding, its clock, its connections."""

import time

from polls.config.settings import Postgres
from polls.storage.checks.findings import CheckResults, fault, ok
from polls.storage.postgres.connect import Connection, query
from polls.storage.postgres.pool import DEDICATED_CONNECTIONS

OLDEST_VERSION = 15  # the oldest major version in which our SQL runs
_MAX_CLOCK_DIFFERENCE = 1  # seconds

_LIMIT_AND_USE = """
    SELECT
        CASE
            WHEN rolsuper THEN current_setting('max_connections')::integer
            ELSE least(
                current_setting('max_connections')::integer
                - current_setting('superuser_reserved_connections')::integer
                - coalesce(current_setting('reserved_connections', true)::integer, 0), -- since PostgreSQL 16
                nullif(rolconnlimit, -1),
                nullif(datconnlimit, -1)
            )
        END,
        (SELECT sum(numbackends) FROM pg_stat_database)
    FROM pg_roles
    CROSS JOIN pg_database
    WHERE rolname = current_user AND datname = current_database()
"""


def check_version(connection: Connection, _: Postgres) -> CheckResults:
    """Check that the server's major version is supported."""
    if problem := describe_old_version(connection):
        yield fault(problem)
    else:
        ((version,),) = query(connection, "SHOW server_version")
        yield ok(f"PostgreSQL {version}")


def describe_old_version(connection: Connection) -> str | None:
    """Return a message for operators if the server is too old, else None."""
    if connection.server_version >= 10_000 * OLDEST_VERSION:
        return None
    ((version,),) = query(connection, "SHOW server_version")
    return f"PostgreSQL {version} is too old. Upgrade it to {OLDEST_VERSION} or later"


def check_encoding(connection: Connection, _: Postgres) -> CheckResults:
    """Check that the database can store every text."""
    if problem := describe_encoding(connection):
        yield fault(problem)
    else:
        yield ok("the database stores texts as UTF-8")


def describe_encoding(connection: Connection) -> str | None:
    """Return a message for operators if the database's encoding isn't UTF-8, else None."""
    ((encoding,),) = query(connection, "SHOW server_encoding")
    if encoding == "UTF8":
        return None
    ((name,),) = query(connection, "SELECT quote_ident(current_database())")
    return (
        f"the encoding of the database {name} is {encoding}, which can't store every text. "
        f"Create another one: createdb --encoding=UTF8 --locale=C --template=template0 NAME; and set postgres.database"
    )


def check_clock(connection: Connection, _: Postgres) -> CheckResults:
    """Compare this machine's clock with the server's."""
    before = time.time()
    ((server_time,),) = query(connection, "SELECT extract(epoch FROM clock_timestamp())::double precision")
    after = time.time()
    difference = (before + after) / 2 - server_time
    if abs(difference) > _MAX_CLOCK_DIFFERENCE + (after - before) / 2:
        direction = "ahead of" if difference > 0 else "behind"
        yield fault(
            f"this machine is {abs(difference):,.0f} seconds {direction} the database.",
            "Polls open and close by the database's clock; logs and certificates use this machine's. Set both by NTP",
        )
    else:
        yield ok(f"this machine and the database differ by {abs(difference):.3f} seconds")


def check_connections(connection: Connection, postgres: Postgres) -> CheckResults:
    """Check that PostgreSQL allows as many connections as one process may open."""
    ((limit, in_use),) = query(connection, _LIMIT_AND_USE)
    needed = postgres.maxsize + DEDICATED_CONNECTIONS
    if limit < needed:
        yield fault(
            f"a process opens up to {needed}, and PostgreSQL allows {limit}.",
            "Raise max_connections or the limit of the role or the database, or lower postgres.maxsize",
        )
    else:
        processes = limit // needed
        yield ok(
            f"a process opens up to {needed}; PostgreSQL allows {limit}: {processes} processes; open now: {in_use}"
        )
