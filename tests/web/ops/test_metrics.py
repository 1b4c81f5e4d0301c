"""Metrics of an application while ballots wait, the pool is exhausted or the listener is disconnected."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from polls.app import create_app
from polls.config.settings import Config, Metrics, Votes
from polls.storage.postgres.connect import Connection
from polls.storage.postgres.pool import acquired
from polls.web.keys import DATABASE
from polls.web.ops.meter import METER, Histogram
from polls.web.ops.metrics import metrics_app
from tests.conftest import CreatePoll
from tests.support.metrics import Samples, samples, votes
from tests.web.ops.conftest import LoseListener

GetMetrics = Callable[[], Awaitable[Samples]]


@pytest.fixture
def config(config: Config) -> Config:
    return replace(config, metrics=Metrics(port=0), votes=Votes(queue_size=2, timeout=1))


@pytest.fixture
async def get_metrics(client: TestClient[Any, Any], aiohttp_client: Any) -> GetMetrics:
    """Fetch the metrics of the client's application: `await get_metrics()`."""
    metrics_client = await aiohttp_client(metrics_app(client.app, client.app[METER]))  # type: ignore[union-attr, arg-type]

    async def get_metrics() -> Samples:
        return samples(await (await metrics_client.get("/metrics")).text())

    return get_metrics


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await condition():
            await asyncio.sleep(0.01)


async def test_ballots_that_wait_are_counted_and_then_those_not_stored(
    client: TestClient, create_poll: CreatePoll, database: Connection, get_metrics: GetMetrics
) -> None:
    create_poll("Tea?", "Yes")
    database.autocommit = False
    with database.cursor() as cursor:
        cursor.execute("SELECT FROM question FOR UPDATE")

    async def vote() -> int:
        return int((await client.post("/poll/1/vote", data={"choice": "1"}, allow_redirects=False)).status)

    async def waits(ballots: int) -> bool:
        return (await get_metrics())["polls_ballots_waiting"] == ballots

    waiting = [asyncio.create_task(vote())]
    await until(lambda: waits(1))
    waiting.append(asyncio.create_task(vote()))
    await until(lambda: waits(2))
    too_many = await vote()
    timed_out = await asyncio.gather(*waiting)
    database.rollback()

    assert [too_many, *timed_out] == [503, 503, 503]
    await until(lambda: waits(0))
    metrics = await get_metrics()
    # The second of the two that waited may have been sent in a transaction of its own, or have timed out before.
    assert votes(metrics) in ({"not_stored": 1, "rejected": 2}, {"not_stored": 2, "rejected": 1})
    assert metrics['polls_http_requests_total{route="vote",status="5xx"}'] == 3
    assert metrics["polls_batch_ballots_sum"] == votes(metrics)["not_stored"]
    assert metrics["polls_batch_duration_seconds_count"] == metrics["polls_batch_ballots_count"] >= 1
    assert metrics['polls_http_request_duration_seconds_bucket{le="0.5",route="vote"}'] <= 1
    assert metrics['polls_http_request_duration_seconds_bucket{le="5.0",route="vote"}'] == 3


async def test_an_exhausted_pool_shows_its_queue(client: TestClient, get_metrics: GetMetrics) -> None:
    database = client.app[DATABASE]  # type: ignore[union-attr]
    release, all_acquired = asyncio.Event(), asyncio.Barrier(5)

    async def hold() -> None:
        async with acquired(database):
            await all_acquired.wait()
            await release.wait()

    holders = [asyncio.create_task(hold()) for _ in range(4)]
    await all_acquired.wait()
    waiting = asyncio.create_task(hold())
    await asyncio.sleep(0)
    exhausted = await get_metrics()
    waiting.cancel()
    release.set()
    await asyncio.wait([*holders, waiting])
    idle = await get_metrics()

    names = [
        'polls_pool_connections{state="busy"}',
        'polls_pool_connections{state="free"}',
        "polls_pool_size_max",
        "polls_pool_waiting",
    ]
    assert [exhausted[name] for name in names] == [4, 0, 4, 1]
    assert [idle[name] for name in names] == [0, 4, 4, 0]


async def test_a_disconnected_listener_is_shown(lose_listener: LoseListener, get_metrics: GetMetrics) -> None:
    before = await get_metrics()

    lose_listener()

    async def is_disconnected() -> bool:
        return (await get_metrics())["polls_listener_connected"] == 0

    assert before["polls_listener_connected"] == 1
    await until(is_disconnected)


async def test_nothing_is_counted_if_metrics_are_disabled(config: Config, aiohttp_client: Any) -> None:
    app = create_app(replace(config, metrics=Metrics()))
    client = await aiohttp_client(app)

    assert (await client.get("/")).status == 200
    assert METER not in app
    assert len(app.middlewares) == 1


def test_a_value_equal_to_a_bound_counts_below_it() -> None:
    values = Histogram([1, 2])

    for value in (0, 1, 1.5, 2, 2.5):
        values.add(value)

    assert values.counts == [2, 2, 1]
    assert values.sum == 7
