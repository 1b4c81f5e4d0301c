"""Small asyncio helpers."""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, Generic, Literal, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """One run of a coroutine function at a time, whose result concurrent callers share.

    A run isn't cancelled with its callers. It has an empty context: it belongs to no single request, and must not be
    logged with the id of one.
    """

    __slots__ = ("_task",)

    def __init__(self) -> None:
        self._task: asyncio.Task[T] | None = None

    @property
    def is_running(self) -> bool:
        """Return whether there is a run that callers would share."""
        return self._task is not None and not self._task.done()

    async def run(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return the result of the current run, or of a new one of `function`. Raises its exception."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(function(), context=Context())
            self._task.add_done_callback(_retrieve_exception)
        return await asyncio.shield(self._task)

    async def cancel(self) -> None:
        """Cancel the current run, and return when it has ended."""
        if self._task:
            self._task.cancel()
            await asyncio.wait({self._task})


def _retrieve_exception(task: asyncio.Task[Any]) -> None:
    # asyncio logs an exception that isn't retrieved, as happens if all callers were cancelled.
    if not task.cancelled():
        task.exception()


def is_cancelled() -> bool:
    """Return whether the current task is cancelled; aiopg raises CancelledError for a statement time-out, too."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class CountedSemaphore(asyncio.Semaphore):
    """A semaphore that serves in order of arrival; `waiting` is the number of tasks in its queue."""

    waiting = 0

    async def acquire(self) -> Literal[True]:
        self.waiting += 1
        try:
            return await super().acquire()
        finally:
            self.waiting -= 1
