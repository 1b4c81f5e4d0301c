"""Connections are closed at whichever point the task that opens or uses them is cancelled."""

import asyncio
import gc
import itertools
import warnings
from collections.abc import Callable, Coroutine, Generator
from contextlib import aclosing, closing
from dataclasses import replace
from types import coroutine
from typing import Any, Literal

import psycopg2
import pytest

from polls.config.settings import Postgres
from polls.domain.ballot import Ballot
from polls.domain.events import CacheInvalidated
from polls.storage import ballot_sql
from polls.storage.ballots import Recorder, open_recorder
from polls.storage.listener import listen
from polls.storage.postgres.connect import UnusableDatabase
from polls.storage.postgres.pool import STATEMENT_TIMEOUT, Database, open_database, transaction
from tests.conftest import CreatePoll

# Before what the task waits for is done, or in the same iteration of the event loop.
Moment = Literal["before", "together"]
Work = Callable[[Postgres, Database], Coroutine[Any, Any, None]]
Connections = list[psycopg2.extensions.connection]


async def open_and_close_pool(postgres: Postgres, _: Database) -> None:
    await (await open_database(replace(postgres, minsize=2))).close()


async def connect(_: Postgres, database: Database) -> None:
    (await database.connect()).close()


async def write(_: Postgres, database: Database) -> None:
    async with transaction(database) as connection:
        await connection.execute("SELECT 1")
        await asyncio.sleep(0)


async def start_recorder(postgres: Postgres, database: Database) -> None:
    (await open_recorder(postgres, database)).close()


async def record(_: Postgres, database: Database) -> None:
    with closing(Recorder(database)) as recorder:
        await recorder.record([Ballot(1, b"ann", (1,))], 5)


async def follow(_: Postgres, database: Database) -> None:
    async with aclosing(listen(database)) as events:
        async for event in events:
            await asyncio.sleep(0)
            if event == CacheInvalidated():
                return


@coroutine
def cancelled_at(point: int, moment: Moment, work: Coroutine[Any, Any, None]) -> Generator[Any, Any, bool]:
    """Run `work`, whose task is cancelled when it waits for the time `point`; return whether it ended before that."""
    task = asyncio.current_task()
    assert task
    resume: Callable[[Any], Any] = work.send
    value: Any = None
    for count in itertools.count():
        try:
            future = resume(value)
        except StopIteration:
            return count <= point
        if count == point:
            if moment == "before" or future is None:
                asyncio.get_running_loop().call_soon(task.cancel)
            else:  # this callback runs before the task's own, which is added when the future has been yielded
                future.add_done_callback(lambda _: task.cancel())
        try:
            value = yield future
            resume = work.send
        except BaseException as error:  # noqa: BLE001 - it is raised in the coroutine
            resume, value = work.throw, error
    raise AssertionError


async def as_coroutine(awaitable: Generator[Any, Any, bool]) -> bool:
    return await awaitable  # type: ignore[misc] # types.coroutine has made it awaitable


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, create_poll: CreatePoll) -> Connections:
    """All connections that are opened."""
    create_poll("Tea?", "Yes")
    opened: Connections = []
    original = psycopg2.connect

    def remember(*args: Any, **kwargs: Any) -> psycopg2.extensions.connection:
        opened.append(original(*args, **kwargs))
        return opened[-1]

    monkeypatch.setattr(psycopg2, "connect", remember)
    return opened


@pytest.mark.parametrize("moment", ["before", "together"])
@pytest.mark.parametrize("work", [open_and_close_pool, connect, write, start_recorder, record, follow])
async def test_no_connection_is_dropped_unclosed(
    postgres: Postgres, opened: Connections, work: Work, moment: Moment
) -> None:
    for point in itertools.count():
        database = Database(postgres)
        await database.connect_to_primary()
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            task = asyncio.create_task(as_coroutine(cancelled_at(point, moment, work(postgres, database))))
            await asyncio.wait([task])
            assert database.pool.size == database.pool.freesize
            await database.close()
            # Those that were dropped are closed, with a warning, when they are collected.
            unclosed = [connection for connection in opened if not connection.closed]
            has_ended = not task.cancelled() and task.result()
            del task
            gc.collect()
        assert (point, unclosed, [str(warning.message) for warning in warned]) == (point, [], [])
        if has_ended:
            break
    assert point > 1


async def test_a_listener_that_is_closed_closes_its_connection_at_once(postgres: Postgres, opened: Connections) -> None:
    database = Database(postgres)
    events = listen(database)
    await anext(events)

    await events.aclose()

    assert [connection for connection in opened if not connection.closed] == []
    await database.close()


async def test_a_recorder_that_cannot_prepare_its_statements_in_time_is_closed(
    postgres: Postgres, opened: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ballot_sql, "PREPARE", f"SELECT pg_sleep({STATEMENT_TIMEOUT + 1})")
    database = Database(postgres)

    with pytest.raises(UnusableDatabase, match="cancelled the statement"):
        await open_recorder(postgres, database)

    assert all(connection.closed for connection in opened)
    await database.close()


async def test_a_connection_whose_descriptor_the_event_loop_refuses_is_closed(
    postgres: Postgres, opened: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = await open_database(replace(postgres, minsize=1))

    def refuse(*_: object) -> None:
        raise FileNotFoundError

    with monkeypatch.context() as patched:
        patched.setattr(asyncio.get_running_loop(), "add_reader", refuse)
        with pytest.raises(FileNotFoundError):
            await database.connect()

    await database.close()
    assert all(connection.closed for connection in opened)
