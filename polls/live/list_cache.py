"""The cache of the list of polls, page by page."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Protocol

from polls.aio import SingleFlight
from polls.domain.poll import Question
from polls.live.clock import DatabaseClock

_MAX_PAGES = 1000


class FindLatest(Protocol):
    """A function that reads at most `limit` published questions, newest first, after the first `skip` of them."""

    def __call__(self, *, skip: int, limit: int) -> Awaitable[Sequence[Question]]: ...


NextPublication = Callable[[], Awaitable[datetime | None]]


class PollListCache:
    """Pages of the list of published questions, read with `latest` on first use and kept until `clear`.

    The cache clears itself at the time that `next_publication` returns; for any other change its owner has to call
    `clear`. Nothing is kept while `is_synced` returns False.
    """

    def __init__(
        self, latest: FindLatest, next_publication: NextPublication, clock: DatabaseClock, is_synced: Callable[[], bool]
    ) -> None:
        self._latest = latest
        self._next_publication = next_publication
        self._clock = clock
        self._is_synced = is_synced
        self._pages: dict[tuple[int, int], Sequence[Question]] = {}
        self._reads: dict[tuple[int, int], SingleFlight[Sequence[Question]]] = {}
        self._publication: tuple[datetime, asyncio.TimerHandle] | None = None  # the next one, and its timer

    async def find(self, *, skip: int, limit: int) -> Sequence[Question]:
        """Return a page, the same object as long as nothing changes. Raises PollsUnavailable."""
        key = skip, limit
        if (page := self._pages.get(key)) is not None:
            return page
        read = self._reads.setdefault(key, SingleFlight())
        return await read.run(partial(self._read_into, key, read))

    def clear(self) -> None:
        """Drop all pages, also those that are being read."""
        self._pages.clear()
        self._reads.clear()
        if self._publication:
            self._publication[1].cancel()
            self._publication = None

    async def close(self) -> None:
        """Drop all pages, and cancel the reads."""
        reads = list(self._reads.values())
        self.clear()
        await asyncio.gather(*(read.cancel() for read in reads))

    async def _read_into(self, key: tuple[int, int], read: SingleFlight[Sequence[Question]]) -> Sequence[Question]:
        try:
            page = await self._read(*key)
            if self._is_synced() and self._reads.get(key) is read:  # not cleared meanwhile
                if len(self._pages) >= _MAX_PAGES:
                    self._pages.clear()
                self._pages[key] = page
            return page
        finally:
            if self._reads.get(key) is read:
                del self._reads[key]

    async def _read(self, skip: int, limit: int) -> Sequence[Question]:
        # In this order, a poll published between the two reads is on the page; at worst the page is read once more.
        publication = await self._next_publication()
        questions = await self._latest(skip=skip, limit=limit)
        if publication and (self._publication is None or publication < self._publication[0]):
            if self._publication:
                self._publication[1].cancel()
            self._publication = publication, self._clock.call_at(publication, self.clear)
        return questions
