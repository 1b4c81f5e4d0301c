"""The cache of the list of polls, page by page."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from datetime import datetime
from typing import Any, Protocol

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
        self._pages: dict[tuple[int, int], asyncio.Task[Sequence[Question]]] = {}
        self._publication: tuple[datetime, asyncio.TimerHandle] | None = None  # the next one, and its timer

    @property
    def tasks(self) -> list[asyncio.Task[Any]]:
        """Return the tasks that read the pages, running or done."""
        return [*self._pages.values()]

    async def find(self, *, skip: int, limit: int) -> Sequence[Question]:
        """Return a page, the same object as long as nothing changes. Raises PollsUnavailable."""
        key = skip, limit
        page = self._pages.get(key)
        if page is None:
            if len(self._pages) >= _MAX_PAGES:
                self._pages.clear()
            page = self._pages[key] = asyncio.create_task(self._read(skip, limit), context=Context())
            page.add_done_callback(lambda page: self._drop_unless_valid(key, page))
        return await asyncio.shield(page)

    def clear(self) -> None:
        """Drop all pages."""
        self._pages.clear()
        if self._publication:
            self._publication[1].cancel()
            self._publication = None

    async def _read(self, skip: int, limit: int) -> Sequence[Question]:
        # In this order, a poll published between the two reads is on the page; at worst the page is read once more.
        publication = await self._next_publication()
        questions = await self._latest(skip=skip, limit=limit)
        if publication and (self._publication is None or publication < self._publication[0]):
            if self._publication:
                self._publication[1].cancel()
            self._publication = publication, self._clock.call_at(publication, self.clear)
        return questions

    def _drop_unless_valid(self, key: tuple[int, int], page: asyncio.Task[Sequence[Question]]) -> None:
        failed = page.cancelled() or page.exception() is not None
        if (failed or not self._is_synced()) and self._pages.get(key) is page:
            del self._pages[key]
