"""The connection pool, its time-outs, and the errors of connecting."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import replace

import psycopg2
import pytest
from psycopg2.extensions import parse_dsn

from polls.config.settings import Postgres
from polls.domain.errors import PollsUnavailable
from polls.storage.postgres.connect import Connection, UnusableDatabase, connect, libpq_environment
from polls.storage.postgres.pool import Database, acquired, open_database, transaction
from polls.storage.postgres.primary import database_name, dsn


@pytest.fixture
async def pool(postgres: Postgres) -> AsyncIterator[Database]:
    pool = await open_database(replace(postgres, minsize=2, maxsize=3))
    yield pool
    await pool.close()


async def connections(database: Connection) -> int:
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return (cursor.fetchone() or ())[0]


async def test_the_pool_stays_between_minsize_and_maxsize(pool: Database, database: Connection) -> None:
    assert await connections(database) == 2

    held = [await pool.pool.acquire() for _ in range(3)]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await pool.pool.acquire()

    assert await connections(database) == 3
    for connection in held:
        await pool.pool.release(connection)


async def test_closing_closes_every_connection(postgres: Postgres, database: Connection) -> None:
    pool = await open_database(postgres)
    await pool.close()

    async with asyncio.timeout(5):
        while await connections(database):
            await asyncio.sleep(0.01)


async def test_a_statement_time_out_raises_polls_unavailable(pool: Database) -> None:
    with pytest.raises(PollsUnavailable):
        async with acquired(pool) as connection:
            await connection.execute("SELECT pg_sleep(5)")


async def test_a_read_only_server_raises_polls_unavailable(pool: Database) -> None:
    with pytest.raises(PollsUnavailable):
        async with transaction(pool) as connection:
            await connection.execute("SET TRANSACTION READ ONLY; CREATE TABLE new ()")


@pytest.mark.parametrize(("setting", "failing"), [("default_transaction_read_only", "on"), ("search_path", "nowhere")])
async def test_sessions_that_began_with_a_wrong_setting_are_replaced_after_one_failure(
    postgres: Postgres, database: Connection, setting: str, failing: str
) -> None:
    def set_default(value: str) -> None:
        with database.cursor() as cursor:
            cursor.execute(f"ALTER DATABASE {postgres.database} SET {setting} TO {value}")

    set_default(failing)
    try:
        pool = await open_database(replace(postgres, minsize=3, maxsize=3))
    finally:
        set_default("DEFAULT")
    with pytest.raises((PollsUnavailable, psycopg2.errors.UndefinedTable)):
        async with acquired(pool) as connection:
            await connection.execute("DELETE FROM question")

    for _ in range(3):
        async with acquired(pool) as connection:
            await connection.execute("DELETE FROM question")
    await pool.close()


async def test_a_refused_value_keeps_its_session(postgres: Postgres, database: Connection) -> None:  # noqa: ARG001 - it has no polls
    pool = await open_database(replace(postgres, minsize=1, maxsize=1))

    async def session() -> int:
        async with acquired(pool) as connection:
            return int(await connection.scalar("SELECT pg_backend_pid()"))

    before = await session()
    with pytest.raises(psycopg2.IntegrityError):
        async with acquired(pool) as connection:
            await connection.execute("INSERT INTO choice (question_id, choice_text) VALUES (1, 'Yes')")

    assert await session() == before
    await pool.close()


async def test_a_cancelled_request_raises_cancelled_error(pool: Database) -> None:
    async def request() -> None:
        async with acquired(pool) as connection:
            await connection.execute("SELECT pg_sleep(1)")

    task = asyncio.create_task(request())
    await asyncio.sleep(0.1)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_waiting_too_long_for_a_connection_raises_polls_unavailable(
    pool: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("polls.storage.postgres.pool.ACQUIRE_TIMEOUT", 0.1)
    async with acquired(pool), acquired(pool), acquired(pool):
        with pytest.raises(PollsUnavailable):
            async with acquired(pool):
                pass

    async with acquired(pool), acquired(pool), acquired(pool):
        pass


@pytest.mark.parametrize("fault", [ValueError("filedescriptor out of range"), FileNotFoundError(2, "closed")])
async def test_aiopgs_errors_about_descriptors_raise_polls_unavailable(
    pool: Database, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    async def fail(_: object) -> None:
        raise fault

    with monkeypatch.context() as patched:
        patched.setattr(type(pool.pool), "acquire", fail)
        with pytest.raises(PollsUnavailable):
            async with acquired(pool):
                pass

    async with acquired(pool), acquired(pool), acquired(pool):
        pass


async def test_closing_a_connection_twice_does_not_unregister_the_next_owner_of_its_descriptor(
    pool: Database,
) -> None:
    connection = await pool.connect()
    descriptor = connection.raw.fileno()
    received = asyncio.Event()
    here, there = socket.socketpair()
    connection.close()
    with here, there, socket.socket(fileno=os.dup2(here.fileno(), descriptor)) as next_owner:
        asyncio.get_running_loop().add_reader(next_owner, received.set)

        connection.close()

        there.send(b"!")
        async with asyncio.timeout(5):
            await received.wait()
        asyncio.get_running_loop().remove_reader(next_owner)


async def test_requests_get_connections_in_order_of_arrival(pool: Database) -> None:
    served: list[int] = []

    async def request(number: int) -> None:
        async with acquired(pool) as connection:
            served.append(number)
            await connection.execute("SELECT pg_sleep(0.001)")

    await asyncio.gather(*(request(number) for number in range(100)))

    assert served == list(range(100))


async def test_connections_that_the_server_has_closed_are_replaced(pool: Database, database: Connection) -> None:
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    await asyncio.sleep(0.2)

    async with acquired(pool) as connection:
        assert await connection.scalar("SELECT 1") == 1


def test_an_unreachable_server_is_reported_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    with (
        pytest.raises(UnusableDatabase, match=r"^can't reach PostgreSQL: .*refused.* configuration\.$"),
        connect(Postgres(host="127.0.0.1", port=port)),
    ):
        pass


def test_a_missing_database_is_reported_with_the_command_that_creates_it(postgres: Postgres) -> None:
    with pytest.raises(UnusableDatabase, match=r"createdb nowhere$"), connect(replace(postgres, database="nowhere")):
        pass


def test_any_setting_may_contain_any_character() -> None:
    settings = Postgres(host="db", user="o'brien", password=r"p@ss:w/rd %'\ =", database="a b")

    assert parse_dsn(dsn(settings)) == {
        "host": "db",
        "user": "o'brien",
        "password": r"p@ss:w/rd %'\ =",
        "dbname": "a b",
        "application_name": "polls",
        "connect_timeout": "5",
    }


def test_postgresqls_programs_get_the_settings_as_environment_variables() -> None:
    assert libpq_environment(Postgres(host="db", password="secret", sslmode="require")) == {
        "PGHOST": "db",
        "PGPASSWORD": "secret",
        "PGSSLMODE": "require",
        "PGDATABASE": "polls",
        "PGAPPNAME": "polls",
        "PGCONNECT_TIMEOUT": "5",
    }


def test_the_database_name_comes_from_the_configuration_then_the_environment_then_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert database_name(Postgres()) == "polls"

    monkeypatch.setenv("PGDATABASE", "elsewhere")
    assert database_name(Postgres()) == "elsewhere"
    assert database_name(Postgres(database="named")) == "named"
