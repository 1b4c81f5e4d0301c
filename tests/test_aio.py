import asyncio
import gc
import logging
from contextvars import ContextVar

import pytest

from polls.aio import SingleFlight


async def test_concurrent_callers_share_one_run() -> None:
    runs = []

    async def function() -> int:
        runs.append(len(runs))
        await asyncio.sleep(0)
        return len(runs)

    flight = SingleFlight[int]()

    assert await asyncio.gather(*(flight.run(function) for _ in range(10))) == [1] * 10
    assert await flight.run(function) == 2


async def test_a_cancelled_caller_leaves_the_run_to_the_others() -> None:
    unblocked = asyncio.Event()

    async def function() -> str:
        await unblocked.wait()
        return "done"

    flight = SingleFlight[str]()
    first, second = (asyncio.create_task(flight.run(function)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    unblocked.set()

    assert await second == "done"
    assert first.cancelled()


async def test_an_exception_is_raised_for_each_caller_and_the_next_call_runs_again() -> None:
    async def fail() -> int:
        raise ValueError("no")

    async def succeed() -> int:
        return 1

    flight = SingleFlight[int]()
    outcomes = await asyncio.gather(*(flight.run(fail) for _ in range(2)), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [ValueError, ValueError]
    assert await flight.run(succeed) == 1


async def test_an_exception_that_no_caller_waits_for_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        await asyncio.sleep(0.01)
        raise ValueError("no")

    flight = SingleFlight[None]()
    caller = asyncio.create_task(flight.run(fail))
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.sleep(0.05)
    del flight, caller
    gc.collect()

    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_run_has_an_empty_context() -> None:
    request_id: ContextVar[str] = ContextVar("request_id", default="none")
    request_id.set("ann")

    async def function() -> str:
        return request_id.get()

    assert await SingleFlight[str]().run(function) == "none"


async def test_cancel_ends_the_run() -> None:
    flight = SingleFlight[None]()
    caller = asyncio.create_task(flight.run(lambda: asyncio.sleep(60)))
    await asyncio.sleep(0)

    await flight.cancel()

    assert not flight.is_running
    with pytest.raises(asyncio.CancelledError):
        await caller
