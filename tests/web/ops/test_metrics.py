"""What metrics say while something is the matter, asked of the application itself."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from polls.app import create_app
from polls.config.settings import Config, Metrics, Votes
from polls.live.poll_cache import PollCache
from polls.storage.postgres.connect import Connection
from polls.storage.postgres.pool import acquired
from polls.web.keys import DATABASE
from polls.web.ops.meter import METER, Distribution
from polls.web.ops.metrics import metrics_app
from tests.conftest import Ask
from tests.support.metrics import Samples, samples, votes

Told = Callable[[], Awaitable[Samples]]


@pytest.fixture
def config(config: Config) -> Config:
    return replace(config, metrics=Metrics(port=0), votes=Votes(queue_size=2, timeout=1))


@pytest.fixture
async def told(client: TestClient[Any, Any], aiohttp_client: Any) -> Told:
    """Ask for the metrics of the client's application: `await told()`."""
    beside = await aiohttp_client(metrics_app(client.app, client.app[METER]))  # type: ignore[union-attr, arg-type]

    async def told() -> Samples:
        return samples(await (await beside.get("/metrics")).text())

    return told


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await condition():
            await asyncio.sleep(0.01)


async def test_ballots_that_wait_and_that_are_not_stored(
    client: TestClient, ask: Ask, database: Connection, told: Told
) -> None:
    ask("Tea?", "Yes")
    database.autocommit = False
    with database.cursor() as cursor:
        cursor.execute("SELECT FROM question FOR UPDATE")

    async def vote() -> int:
        return int((await client.post("/poll/1/vote", data={"choice": "1"}, allow_redirects=False)).status)

    async def waits(ballots: int) -> bool:
        return (await told())["polls_ballots_waiting"] == ballots

    waiting = [asyncio.create_task(vote())]
    await until(lambda: waits(1))
    waiting.append(asyncio.create_task(vote()))
    await until(lambda: waits(2))
    too_many = await vote()
    in_vain = await asyncio.gather(*waiting)
    database.rollback()

    assert [too_many, *in_vain] == [503, 503, 503]
    await until(lambda: waits(0))
    found = await told()
    # Of the two that waited, the second one may have had a chance of its own, or time left for none.
    assert votes(found) in ({"not_stored": 1, "rejected": 2}, {"not_stored": 2, "rejected": 1})
    assert found['polls_http_requests_total{route="vote",status="5xx"}'] == 3
    assert found["polls_batch_ballots_sum"] == votes(found)["not_stored"]
    assert found["polls_batch_duration_seconds_count"] == found["polls_batch_ballots_count"] >= 1
    assert found['polls_http_request_duration_seconds_bucket{le="0.5",route="vote"}'] <= 1
    assert found['polls_http_request_duration_seconds_bucket{le="5.0",route="vote"}'] == 3


async def test_a_pool_that_is_exhausted(client: TestClient, told: Told) -> None:
    engine = client.app[DATABASE]  # type: ignore[union-attr]
    enough, everybody = asyncio.Event(), asyncio.Barrier(5)

    async def hold() -> None:
        async with acquired(engine):
            await everybody.wait()
            await enough.wait()

    holders = [asyncio.create_task(hold()) for _ in range(4)]
    await everybody.wait()
    latecomer = asyncio.create_task(hold())
    await asyncio.sleep(0)
    exhausted = await told()
    latecomer.cancel()
    enough.set()
    await asyncio.wait([*holders, latecomer])
    idle = await told()

    names = [
        'polls_pool_connections{state="busy"}',
        'polls_pool_connections{state="free"}',
        "polls_pool_size_max",
        "polls_pool_waiting",
    ]
    assert [exhausted[name] for name in names] == [4, 0, 4, 1]
    assert [idle[name] for name in names] == [0, 4, 4, 0]


async def test_notices_that_are_not_heard(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    before = await told()

    monkeypatch.setattr(PollCache, "is_synced", False)

    assert (before["polls_listener_connected"], (await told())["polls_listener_connected"]) == (1, 0)


async def test_nothing_is_counted_where_nobody_asks(config: Config, aiohttp_client: Any) -> None:
    app = create_app(replace(config, metrics=Metrics()))
    client = await aiohttp_client(app)

    assert (await client.get("/")).status == 200
    assert METER not in app
    assert len(app.middlewares) == 1


def test_a_value_is_counted_up_to_its_bound() -> None:
    values = Distribution([1, 2])

    for value in (0, 1, 1.5, 2, 2.5):
        values.add(value)

    assert values.counts == [2, 2, 1]
    assert values.sum == 7
