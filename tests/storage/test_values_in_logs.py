"""Logs without values: PostgreSQL logs statements that fail, but not the ballots, keys and password hashes in them."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import psycopg2
import pytest

from polls.config.settings import Postgres
from polls.domain.ballot import Ballot
from polls.server.logs import RedactValues
from polls.storage.ballots import Outcome, Recorder
from polls.storage.checks.findings import Verdict
from polls.storage.checks.logs import check_log
from polls.storage.postgres import migrations
from polls.storage.postgres.connect import Connection, UnusableDatabase, connect, query
from polls.storage.postgres.pool import Database, acquired, open_database
from tests.support.processes import eventually
from tests.support.servers import Server, running

VOTER, HASH = b"ann", "$argon2id$v=19$m=65536$secret"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with default settings, whose role `clerk` owns the database and has no privileges."""
    with running(tmp_path_factory.mktemp("logs"), {"fsync": "off"}) as server:
        server.execute("CREATE ROLE clerk LOGIN; ALTER DATABASE polls OWNER TO clerk")
        with connect(as_clerk(server)) as connection:
            migrations.migrate(as_clerk(server), connection)
        yield server


def as_clerk(server: Server) -> Postgres:
    return replace(Postgres(**server.address), user="clerk", database="polls")  # type: ignore[arg-type]


@pytest.fixture
async def recorder(server: Server) -> AsyncIterator[Recorder]:
    """A recorder for a new poll of two choices, in which one voter has voted for the first."""
    server.execute(
        "TRUNCATE question RESTART IDENTITY CASCADE;"
        "INSERT INTO question (question_text, pub_date) VALUES ('Tea?', now());"
        "INSERT INTO choice (question_id, choice_text) VALUES (1, 'Yes'), (1, 'No')"
    )
    recorder = Recorder(Database(as_clerk(server)))
    await vote(recorder, 1)
    yield recorder
    recorder.close()


async def vote(recorder: Recorder, *marks: int) -> list[Outcome]:
    return await recorder.record([Ballot(1, VOTER, marks)], 5)


async def wrong_counts(server: Server, recorder: Recorder) -> None:
    server.execute("UPDATE choice SET votes = 0")
    await vote(recorder, 2)


async def locked_poll(server: Server, recorder: Recorder) -> None:
    with server.connect() as other, other.cursor() as cursor:
        cursor.execute("BEGIN; SELECT FROM question FOR UPDATE")
        await vote(recorder, 2)


async def deadlock(server: Server, recorder: Recorder) -> None:
    with server.connect() as other, other.cursor() as cursor:
        cursor.execute("SET deadlock_timeout = '100ms'; BEGIN; SELECT FROM choice FOR UPDATE")
        voting = asyncio.create_task(vote(recorder, 2))
        await asyncio.sleep(0.2)  # the batch has locked the poll, and waits for its choices
        waiting = threading.Thread(target=try_to_lock, args=[cursor])
        waiting.start()
        with contextlib.suppress(Exception):
            await voting
        waiting.join()


def try_to_lock(cursor: psycopg2.extensions.cursor) -> None:
    with contextlib.suppress(psycopg2.Error):
        cursor.execute("SELECT FROM question FOR UPDATE")


async def lost_connection(server: Server, recorder: Recorder) -> None:
    def end() -> None:
        waiting = "FROM pg_stat_activity WHERE usename = 'clerk' AND wait_event_type = 'Lock'"
        assert eventually(lambda: server.execute(f"SELECT pg_terminate_backend(pid) {waiting}") != [])

    with server.connect() as other, other.cursor() as cursor:
        cursor.execute("BEGIN; SELECT FROM question FOR UPDATE")
        ending = threading.Thread(target=end)
        ending.start()
        with contextlib.suppress(Exception):
            await vote(recorder, 2)
        await asyncio.to_thread(ending.join)


async def read_only(server: Server, recorder: Recorder) -> None:
    recorder.close()
    server.execute("ALTER DATABASE polls SET default_transaction_read_only = on")
    try:
        with contextlib.suppress(Exception):
            await vote(recorder, 2)
    finally:
        with server.connect("postgres") as connection, connection.cursor() as cursor:
            cursor.execute("ALTER DATABASE polls RESET ALL")


async def missing_key(server: Server, recorder: Recorder) -> None:
    server.execute("ALTER TABLE ballot DROP CONSTRAINT ballot_pkey")
    try:
        with contextlib.suppress(Exception):
            await vote(recorder, 2)
    finally:
        server.execute("ALTER TABLE ballot ADD CONSTRAINT ballot_pkey PRIMARY KEY (question_id, voter)")


FAILURES = [wrong_counts, locked_poll, deadlock, lost_connection, read_only, missing_key]


@pytest.mark.parametrize("failure", FAILURES)
async def test_a_batch_that_fails_leaves_no_ballot_in_the_log(
    server: Server, recorder: Recorder, failure: object
) -> None:
    ((salt, voter),) = server.execute("SELECT voter_salt, voter FROM question JOIN ballot ON question_id = id")
    before = len(server.log.read_bytes())

    await failure(server, recorder)  # type: ignore[operator]

    assert eventually(lambda: any(word in log_after(server, before) for word in ("ERROR", "FATAL")))
    log = log_after(server, before)
    assert "STATEMENT" in log
    assert bytes(voter).hex() not in log  # type: ignore[arg-type]
    assert bytes(salt).hex() not in log  # type: ignore[arg-type]
    assert '"{' not in log  # the marks


async def test_what_doctor_says_keeps_all_values_out_of_the_log(server: Server) -> None:
    with connect(as_clerk(server)) as connection:
        ((verdict, advice),) = check_log(connection, as_clerk(server))
    assert verdict is Verdict.FAULT
    server.execute(advice.partition("As a superuser: ")[2].partition("; then")[0])
    before = len(server.log.read_bytes())
    try:
        with connect(as_clerk(server)) as connection:
            assert [verdict for verdict, _ in check_log(connection, as_clerk(server))] == [Verdict.OK]
        await fail_with_values(as_clerk(server))
        assert "violates" in log_after(server, before)
        assert HASH not in log_after(server, before)
    finally:
        server.execute("ALTER ROLE clerk RESET ALL")


async def test_a_superuser_needs_no_advice(server: Server) -> None:
    operator = replace(as_clerk(server), user=str(server.address["user"]))
    before = len(server.log.read_bytes())

    await fail_with_values(operator)

    with connect(operator) as connection:
        assert [verdict for verdict, _ in check_log(connection, operator)] == [Verdict.OK]
    assert "violates" in log_after(server, before)
    assert HASH not in log_after(server, before)


async def test_doctor_notes_that_all_statements_are_logged(server: Server) -> None:
    operator = replace(as_clerk(server), user=str(server.address["user"]))
    with connect(operator) as connection:
        query(connection, "SET log_statement = 'all'; SET log_min_duration_statement = 0")
        notes = [text for verdict, text in check_log(connection, operator) if verdict is Verdict.NOTE]

    assert [note.partition(":")[0] for note in notes] == ["log_min_duration_statement is 0", "log_statement is all"]


async def fail_with_values(postgres: Postgres) -> None:
    """Insert an account without a name, through a connection of the pool, a dedicated one and that of a command."""
    statement = f"INSERT INTO account (username, password_hash) VALUES (NULL, '{HASH}')"
    database = await open_database(postgres)
    with contextlib.suppress(psycopg2.IntegrityError):
        async with acquired(database) as connection:
            await connection.execute(statement)
    dedicated = await database.connect()
    with contextlib.suppress(psycopg2.IntegrityError):
        async with dedicated.cursor() as cursor:
            await cursor.execute(statement)
    dedicated.close()
    await database.close()
    with pytest.raises(UnusableDatabase) as raised, connect(postgres) as connection:
        query(connection, statement)
    assert HASH not in str(raised.value)


def log_after(server: Server, position: int) -> str:
    return server.log.read_bytes()[position:].decode()


def test_our_log_repeats_neither_rows_nor_statements(database: Connection, caplog: pytest.LogCaptureFixture) -> None:
    for statement in (
        f"INSERT INTO account (username, password_hash) VALUES (NULL, '{HASH}')",
        f"SELECT '{HASH}', nowhere",
    ):
        try:
            query(database, statement)
        except psycopg2.Error as error:
            reason = " ".join(str(error).split())
            logging.getLogger("polls").exception("can't be stored: %s", reason)

    for record in caplog.records:
        assert HASH in logging.Formatter().format(record)
        record.exc_text = None
        assert RedactValues().filter(record)
        text = logging.Formatter().format(record)
        assert "Traceback" in text
        assert "can't be stored: null value in column" in text or 'column "nowhere" does not exist' in text
        assert HASH not in text
    assert len(caplog.records) == 2
