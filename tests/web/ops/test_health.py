"""Health checks: `/healthz` (liveness) and `/readyz` (readiness)."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from polls.storage.checks.readiness import DatabaseState, check_database
from polls.storage.postgres.connect import Connection
from polls.storage.postgres.pool import Database
from polls.web.keys import POLL_CACHE
from polls.web.ops import health
from tests.conftest import CreatePoll
from tests.support.refused_ballots import refusing_ballots
from tests.web.ops.conftest import LoseListener

READY = {"ready": True, "database": "writable", "schema": "current", "listener": "connected"}


async def test_a_running_process_is_alive(client: TestClient) -> None:
    response = await client.get("/healthz")

    assert (response.status, await response.json()) == (200, {"alive": True})
    assert response.headers["Cache-Control"] == "no-store"
    assert (await client.head("/healthz")).status == 200
    assert (await client.post("/healthz")).status == 405


async def test_polls_is_ready_while_the_database_is_writable_and_the_listener_connected(client: TestClient) -> None:
    response = await client.get("/readyz")

    assert response.status == 200
    assert await response.json() == READY
    assert response.headers["Cache-Control"] == "no-store"


async def test_polls_is_not_ready_while_the_listener_is_disconnected(
    lose_listener: LoseListener, client: TestClient
) -> None:
    assert client.app
    lose_listener()
    async with asyncio.timeout(10):
        while client.app[POLL_CACHE].is_synced:
            await asyncio.sleep(0)

    response = await client.get("/readyz")

    assert response.status == 503
    assert await response.json() == READY | {"ready": False, "listener": "disconnected"}


async def test_polls_is_not_ready_while_the_database_is_read_only(client: TestClient, database: Connection) -> None:
    with database.cursor() as cursor:
        cursor.execute("SELECT current_database()")
        ((name,),) = cursor.fetchall()
        cursor.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'polls' AND datname = current_database() AND pid <> pg_backend_pid()"
        )
    try:
        response = await client.get("/readyz")

        assert response.status == 503
        assert (await response.json())["database"] in {"read-only", "unreachable"}
    finally:
        with database.cursor() as cursor:
            cursor.execute(
                f"SET default_transaction_read_only = off; ALTER DATABASE {name} RESET default_transaction_read_only"
            )


async def test_polls_is_not_ready_from_a_vote_that_was_not_stored_until_writing_succeeds(
    client: TestClient, database: Connection, create_poll: CreatePoll
) -> None:
    create_poll("Tea?", "Yes")

    async def database_state() -> tuple[int, str]:
        response = await client.get("/readyz")
        return response.status, (await response.json())["database"]

    with refusing_ballots(database):
        before = await database_state()
        vote = await client.post("/poll/1/vote", data={"choice": "1"}, allow_redirects=False)
        failing = [await database_state() for _ in range(2)]
    recovered = await database_state()

    assert vote.status == 503
    assert (before, failing, recovered) == ((200, "writable"), [(503, "not writable")] * 2, (200, "writable"))


@pytest.fixture
def restored(database: Connection) -> Iterator[Connection]:
    """The database, whose table of migrations is restored at the end."""
    with database.cursor() as cursor:
        cursor.execute("CREATE TABLE saved AS SELECT * FROM migration")
        yield database
        cursor.execute("ALTER TABLE IF EXISTS renamed RENAME TO migration")
        cursor.execute("TRUNCATE migration; INSERT INTO migration SELECT * FROM saved; DROP TABLE saved")


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM migration WHERE name LIKE '0003%'",
        "UPDATE migration SET hash = 'another' WHERE name LIKE '0003%'",
        "ALTER TABLE migration RENAME TO renamed",
    ],
    ids=["behind", "edited", "new"],
)
async def test_polls_is_not_ready_while_the_schema_differs(
    client: TestClient, restored: Connection, change: str
) -> None:
    with restored.cursor() as cursor:
        cursor.execute(change)

    response = await client.get("/readyz")

    assert response.status == 503
    assert await response.json() == READY | {"ready": False, "schema": "not current"}


async def test_polls_is_ready_for_the_schema_of_a_newer_version(client: TestClient, restored: Connection) -> None:
    with restored.cursor() as cursor:
        cursor.execute("INSERT INTO migration VALUES ('9999_newer', '')")

    assert (await client.get("/readyz")).status == 200


async def test_concurrent_requests_share_one_check_of_the_database(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = []

    async def counted(database: Database, required_migrations: Any) -> DatabaseState:
        checks.append(database)
        await asyncio.sleep(0.5)
        return await check_database(database, required_migrations)

    monkeypatch.setattr(health, "check_database", counted)

    responses = await asyncio.gather(*(client.get("/readyz") for _ in range(50)))

    assert {response.status for response in responses} == {200}
    assert len(checks) == 1
    assert (await client.get("/readyz")).status == 200
    assert len(checks) == 2
