"""The list of polls in memory, page by page."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from datetime import datetime
from typing import Any, Protocol

from polls.domain.poll import Question
from polls.live.clock import DatabaseClock

_MOST = 1000  # pages that are remembered


class Latest(Protocol):
    """Reads published questions, newest first, without the first `skip` of them, `limit` at most."""

    def __call__(self, *, skip: int, limit: int) -> Awaitable[Sequence[Question]]: ...


NextPublication = Callable[[], Awaitable[datetime | None]]


class PollListCache:
    """Pages of the list of published questions, read by `latest` on first use, and remembered until all are forgotten.

    They are when the moment comes that `next_publication` tells; whoever hears of a change of any question sees to it
    otherwise. Nothing is remembered while `is_synced` is false.
    """

    def __init__(
        self, latest: Latest, next_publication: NextPublication, clock: DatabaseClock, is_synced: Callable[[], bool]
    ) -> None:
        self._latest = latest
        self._next_publication = next_publication
        self._clock = clock
        self._is_trusted = is_synced
        self._readings: dict[tuple[int, int], asyncio.Task[Sequence[Question]]] = {}
        self._publication: tuple[datetime, asyncio.TimerHandle] | None = None  # the next one, and what waits for it

    async def find(self, *, skip: int, limit: int) -> Sequence[Question]:
        """A page, the same object as long as nothing changes. Raises PollsUnavailable."""
        key = skip, limit
        reading = self._readings.get(key)
        if reading is None:
            if len(self._readings) >= _MOST:
                self._readings.clear()
            reading = self._readings[key] = asyncio.create_task(self._read(skip, limit), context=Context())
            reading.add_done_callback(lambda reading: self._keep(key, reading))
        return await asyncio.shield(reading)

    @property
    def readings(self) -> list[asyncio.Task[Any]]:
        """What is being read, and what was."""
        return [*self._readings.values()]

    def forget(self) -> None:
        """Forget all pages: any may have changed."""
        self._readings.clear()
        if self._publication:
            self._publication[1].cancel()
            self._publication = None

    async def _read(self, skip: int, limit: int) -> Sequence[Question]:
        # In this order: what is published in between is on the list, and at worst it is read once more.
        publication = await self._next_publication()
        found = await self._latest(skip=skip, limit=limit)
        if publication and (self._publication is None or publication < self._publication[0]):
            if self._publication:
                self._publication[1].cancel()
            self._publication = publication, self._clock.call_at(publication, self.forget)
        return found

    def _keep(self, key: tuple[int, int], reading: asyncio.Task[Sequence[Question]]) -> None:
        """Keep a page that was read, if it stays true."""
        failed = reading.cancelled() or reading.exception() is not None
        if (failed or not self._is_trusted()) and self._readings.get(key) is reading:
            del self._readings[key]
