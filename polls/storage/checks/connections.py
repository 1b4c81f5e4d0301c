"""Check of the number of connections that PostgreSQL allows."""

from polls.config.settings import Postgres
from polls.storage.checks.findings import Results, fault, ok
from polls.storage.postgres.connect import Connection, query
from polls.storage.postgres.pool import DEDICATED_CONNECTIONS

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


def check_connections(connection: Connection, postgres: Postgres) -> Results:
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
