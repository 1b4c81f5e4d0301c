import asyncio
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from psycopg2.extensions import parse_dsn

from polls.config.settings import Postgres
from polls.domain.errors import PollsUnavailable
from polls.storage.postgres import pool
from polls.storage.postgres.connect import Connection, UnusableDatabase, connect, libpq_environment
from polls.storage.postgres.pool import Database, acquired, open_database, transaction
from polls.storage.postgres.primary import database_name as database_of
from polls.storage.postgres.primary import dsn


@pytest.fixture
async def engine(postgres: Postgres) -> AsyncIterator[Database]:
    engine = await open_database(replace(postgres, minsize=2, maxsize=3))
    yield engine
    await engine.close()


async def connections(database: Connection) -> int:
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return (cursor.fetchone() or ())[0]


async def test_the_pool_keeps_its_least_size_and_never_passes_its_largest(
    engine: Database, database: Connection
) -> None:
    assert await connections(database) == 2

    held = [await engine.pool.acquire() for _ in range(3)]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await engine.pool.acquire()

    assert await connections(database) == 3
    for connection in held:
        await engine.pool.release(connection)


async def test_nothing_stays_open_when_the_pool_is_closed(postgres: Postgres, database: Connection) -> None:
    engine = await open_database(postgres)
    await engine.close()

    async with asyncio.timeout(5):
        while await connections(database):
            await asyncio.sleep(0.01)


async def test_a_statement_that_takes_too_long_makes_polls_unavailable(engine: Database) -> None:
    with pytest.raises(PollsUnavailable):
        async with acquired(engine) as connection:
            await connection.execute("SELECT pg_sleep(5)")


async def test_a_server_that_takes_no_changes_makes_polls_unavailable(engine: Database) -> None:
    with pytest.raises(PollsUnavailable):
        async with transaction(engine) as connection:
            await connection.execute("SET TRANSACTION READ ONLY; CREATE TABLE new ()")


async def test_a_visitor_who_goes_away_is_cancelled_as_usual(engine: Database) -> None:
    async def visit() -> None:
        async with acquired(engine) as connection:
            await connection.execute("SELECT pg_sleep(1)")

    task = asyncio.create_task(visit())
    await asyncio.sleep(0.1)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_pool_without_a_free_connection_makes_polls_unavailable(
    engine: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "ACQUIRE_TIMEOUT", 0.1)
    async with acquired(engine), acquired(engine), acquired(engine):
        with pytest.raises(PollsUnavailable):
            async with acquired(engine):
                pass

    async with acquired(engine), acquired(engine), acquired(engine):
        pass


@pytest.mark.parametrize("fault", [ValueError("filedescriptor out of range"), FileNotFoundError(2, "closed")])
async def test_what_aiopg_stumbles_over_makes_polls_unavailable(
    engine: Database, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    async def stumble(_: object) -> None:
        raise fault

    with monkeypatch.context() as patched:
        patched.setattr(type(engine.pool), "acquire", stumble)
        with pytest.raises(PollsUnavailable):
            async with acquired(engine):
                pass

    async with acquired(engine), acquired(engine), acquired(engine):
        pass


async def test_a_connection_that_is_closed_twice_takes_nothing_from_who_has_its_number_by_then(
    engine: Database,
) -> None:
    connection = await engine.connect()
    number = connection.raw.fileno()
    heard = asyncio.Event()
    here, there = socket.socketpair()
    connection.close()
    with here, there, socket.socket(fileno=os.dup2(here.fileno(), number)) as successor:
        asyncio.get_running_loop().add_reader(successor, heard.set)

        connection.close()

        there.send(b"!")
        async with asyncio.timeout(5):
            await heard.wait()
        asyncio.get_running_loop().remove_reader(successor)


async def test_nobody_who_waits_for_a_connection_is_overtaken(engine: Database) -> None:
    served: list[int] = []

    async def visit(number: int) -> None:
        async with acquired(engine) as connection:
            served.append(number)
            await connection.execute("SELECT pg_sleep(0.001)")

    await asyncio.gather(*(visit(number) for number in range(100)))

    assert served == list(range(100))


async def test_connections_that_the_server_has_ended_are_replaced(engine: Database, database: Connection) -> None:
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    await asyncio.sleep(0.2)

    async with acquired(engine) as connection:
        assert await connection.scalar("SELECT 1") == 1


def test_a_server_that_is_not_there_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    with (
        pytest.raises(UnusableDatabase, match=r"^can't reach PostgreSQL: .*refused.* configuration\.$"),
        connect(Postgres(host="127.0.0.1", port=port)),
    ):
        pass


def test_a_database_that_does_not_exist_is_said_with_the_command_that_makes_it(postgres: Postgres) -> None:
    with pytest.raises(UnusableDatabase, match=r"createdb nowhere$"), connect(replace(postgres, database="nowhere")):
        pass


def test_any_character_may_stand_in_any_setting() -> None:
    settings = Postgres(host="db", user="o'brien", password=r"p@ss:w/rd %'\ =", database="a b")

    assert parse_dsn(dsn(settings)) == {
        "host": "db",
        "user": "o'brien",
        "password": r"p@ss:w/rd %'\ =",
        "dbname": "a b",
        "application_name": "polls",
        "connect_timeout": "5",
    }


def test_postgresqls_own_programs_get_the_settings_as_environment() -> None:
    assert libpq_environment(Postgres(host="db", password="secret", sslmode="require")) == {
        "PGHOST": "db",
        "PGPASSWORD": "secret",
        "PGSSLMODE": "require",
        "PGDATABASE": "polls",
        "PGAPPNAME": "polls",
        "PGCONNECT_TIMEOUT": "5",
    }


def test_the_database_is_the_named_one_then_the_environments_then_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    assert database_of(Postgres()) == "polls"

    monkeypatch.setenv("PGDATABASE", "elsewhere")
    assert database_of(Postgres()) == "elsewhere"
    assert database_of(Postgres(database="named")) == "named"
