"""What watches over polls is told whether a process is alive, and whether it is fit to serve."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from polls.live.poll_cache import PollCache
from polls.storage.checks.readiness import Fitness, fitness
from polls.storage.postgres.connect import Connection
from polls.storage.postgres.pool import Database
from polls.web.ops import readiness

READY = {"ready": True, "database": "writable", "schema": "current", "listener": "connected"}


async def test_polls_is_alive(client: TestClient) -> None:
    answer = await client.get("/healthz")

    assert (answer.status, await answer.json()) == (200, {"alive": True})
    assert answer.headers["Cache-Control"] == "no-store"
    assert (await client.head("/healthz")).status == 200
    assert (await client.post("/healthz")).status == 405


async def test_polls_is_ready_while_it_can_count_and_hears_of_changes(client: TestClient) -> None:
    answer = await client.get("/readyz")

    assert answer.status == 200
    assert await answer.json() == READY
    assert answer.headers["Cache-Control"] == "no-store"


async def test_polls_is_not_ready_while_it_hears_of_no_changes(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PollCache, "is_synced", False)

    answer = await client.get("/readyz")

    assert answer.status == 503
    assert await answer.json() == READY | {"ready": False, "listener": "disconnected"}


async def test_polls_is_not_ready_while_the_database_takes_no_votes(client: TestClient, database: Connection) -> None:
    with database.cursor() as cursor:
        cursor.execute("SELECT current_database()")
        ((name,),) = cursor.fetchall()
        cursor.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'polls' AND datname = current_database() AND pid <> pg_backend_pid()"
        )
    try:
        answer = await client.get("/readyz")

        assert answer.status == 503
        assert (await answer.json())["database"] in {"read-only", "unreachable"}
    finally:
        with database.cursor() as cursor:
            cursor.execute(
                f"SET default_transaction_read_only = off; ALTER DATABASE {name} RESET default_transaction_read_only"
            )


@pytest.fixture
def spoilt(database: Connection) -> Iterator[Connection]:
    """The database, whose migrations are put right again at the end."""
    with database.cursor() as cursor:
        cursor.execute("CREATE TABLE kept AS SELECT * FROM migration")
        yield database
        cursor.execute("ALTER TABLE IF EXISTS elsewhere RENAME TO migration")
        cursor.execute("TRUNCATE migration; INSERT INTO migration SELECT * FROM kept; DROP TABLE kept")


@pytest.mark.parametrize(
    "spoil",
    [
        "DELETE FROM migration WHERE name LIKE '0003%'",
        "UPDATE migration SET hash = 'another' WHERE name LIKE '0003%'",
        "ALTER TABLE migration RENAME TO elsewhere",
    ],
    ids=["behind", "edited", "new"],
)
async def test_polls_is_not_ready_while_the_schema_is_another(
    client: TestClient, spoilt: Connection, spoil: str
) -> None:
    with spoilt.cursor() as cursor:
        cursor.execute(spoil)

    answer = await client.get("/readyz")

    assert answer.status == 503
    assert await answer.json() == READY | {"ready": False, "schema": "not current"}


async def test_polls_is_ready_for_the_schema_of_a_newer_version(client: TestClient, spoilt: Connection) -> None:
    with spoilt.cursor() as cursor:
        cursor.execute("INSERT INTO migration VALUES ('9999_of_tomorrow', '')")

    assert (await client.get("/readyz")).status == 200


async def test_the_database_is_asked_once_for_all_who_ask_at_the_same_time(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []

    async def counted(engine: Database, needed: Any) -> Fitness:
        looks.append(engine)
        await asyncio.sleep(0.5)
        return await fitness(engine, needed)

    monkeypatch.setattr(readiness, "fitness", counted)

    answers = await asyncio.gather(*(client.get("/readyz") for _ in range(50)))

    assert {answer.status for answer in answers} == {200}
    assert len(looks) == 1
    assert (await client.get("/readyz")).status == 200
    assert len(looks) == 2
