"""Check that a connection keeps its session of PostgreSQL: a pooler may give each transaction another one."""

import select

import psycopg2

from polls.config.settings import Postgres
from polls.storage.checks.findings import CheckResults, fault, ok
from polls.storage.postgres.connect import Connection, connect, query

_NOTIFICATION_TIMEOUT = 2  # seconds

_PID = "SELECT pg_backend_pid()"


def check_session(connection: Connection, postgres: Postgres) -> CheckResults:
    """Check that prepared statements and LISTEN last longer than a transaction."""
    if problem := describe_shared_session(connection, postgres):
        yield fault(problem)
        return
    try:
        is_received = _receives_notifications(connection)
    except psycopg2.InternalError:  # on a standby or a read-only database, which is reported already
        is_received = True
    if is_received:
        yield ok("prepared statements last, and notifications arrive")
    else:
        yield fault(
            "notifications don't arrive, so pages would be stale. Connect to PostgreSQL directly, not through a proxy"
        )


def describe_shared_session(connection: Connection, postgres: Postgres) -> str | None:
    """Return a message for operators if transactions of this session run in several sessions of PostgreSQL.

    While another client is in a transaction, a pooler can't use that client's connection for ours.
    """
    ((first,),) = query(connection, _PID)
    with connect(postgres) as other, other.cursor() as cursor:
        cursor.execute(_PID)  # begins a transaction
        if cursor.fetchone() != (first,) and query(connection, _PID) == [(first,)]:
            return None
    return (
        "a connection pooler, such as PgBouncer in transaction mode, shares connections to PostgreSQL: prepared "
        "statements and LISTEN would be lost. Connect to PostgreSQL directly: set postgres.host and postgres.port"
    )


def _receives_notifications(connection: Connection) -> bool:
    query(connection, "LISTEN polls_check")
    try:
        query(connection, "NOTIFY polls_check")
        if not connection.notifies:
            select.select([connection], [], [], _NOTIFICATION_TIMEOUT)
            connection.poll()
        return bool(connection.notifies)
    finally:
        query(connection, "UNLISTEN polls_check")
        connection.notifies.clear()
