"""Checks that rows can be written, by writing some and rolling back."""

import psycopg2

from polls.config.settings import Postgres
from polls.domain.errors import PollsUnavailable
from polls.storage.checks.findings import CheckResults, fault, ok
from polls.storage.postgres.connect import Connection, query
from polls.storage.postgres.pool import Database, transaction

# Enough ballots to need new pages, for which a full disk has no space. A transaction that undoes its rows, and then is
# committed, waits for the disk and for a synchronous standby as one of ballots does.
_WRITE_AND_UNDO = """
    SAVEPOINT before_writing;
    INSERT INTO question (id, question_text, pub_date) VALUES (-1, 'Can polls write?', now());
    INSERT INTO ballot (question_id, voter, marks)
    SELECT -1, uuid_send(gen_random_uuid()), '{1}' FROM generate_series(1, 300);
    ROLLBACK TO SAVEPOINT before_writing
"""

# Checks of standbys are others: this one mustn't wait for them.
_WRITE_HERE = f"SET LOCAL synchronous_commit = local; SET LOCAL lock_timeout = '2s'; {_WRITE_AND_UNDO}"


async def try_writing(database: Database) -> None:
    """Write rows as for a vote, and roll back. Raises PollsUnavailable if it fails."""
    try:
        async with transaction(database) as connection:
            await connection.execute(_WRITE_AND_UNDO)
    except psycopg2.Error as error:
        raise PollsUnavailable from error


def check_writing(connection: Connection, _: Postgres) -> CheckResults:
    """Check that the server is a primary that stores ballots, and that LISTEN works on it."""
    ((is_standby, is_read_only),) = query(
        connection, "SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'"
    )
    if is_standby:
        yield fault("this is a standby, which takes no votes. Name the primary in postgres.host")
        return
    if is_read_only:
        yield fault("this database is read-only and takes no votes. Reset default_transaction_read_only")
        return
    query(connection, "LISTEN polls; UNLISTEN polls")
    try:
        query(connection, _WRITE_HERE)
    except (psycopg2.ProgrammingError, psycopg2.IntegrityError):
        # Tables, columns or privileges are missing or changed: other checks name them.
        yield ok("the database is writable, and LISTEN works")
    except psycopg2.Error as error:
        yield fault(f"PostgreSQL can't store ballots: {error.diag.message_primary or error}")
    else:
        yield ok("the database stores ballots (tried and rolled back), and LISTEN works")
