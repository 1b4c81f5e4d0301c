"""The cache of the list of polls, page by page."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
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


@dataclass(slots=True, eq=False)
class _Page:
    """A page, which is valid until the next publication; `questions` is None until it has been read."""

    reading: SingleFlight[Sequence[Question]] = field(default_factory=SingleFlight)
    questions: Sequence[Question] | None = None
    end: datetime | None = None


class PollListCache:
    """Pages of the list of published questions, read with `latest` on first use and kept until `clear`.

    They are read again after the time that `next_publication` returned; for any other change the owner of the cache has
    to call `clear`. Nothing is kept while `is_synced` returns False.
    """

    def __init__(
        self, latest: FindLatest, next_publication: NextPublication, clock: DatabaseClock, is_synced: Callable[[], bool]
    ) -> None:
        self._latest = latest
        self._next_publication = next_publication
        self._clock = clock
        self._is_synced = is_synced
        self._pages: dict[tuple[int, int], _Page] = {}

    async def find(self, *, skip: int, limit: int) -> Sequence[Question]:
        """Return a page, the same object as long as nothing changes. Raises PollsUnavailable."""
        page = self._pages.get((skip, limit))
        if page is None:
            if len(self._pages) >= _MAX_PAGES:
                self._pages.clear()
            page = self._pages[skip, limit] = _Page()
        elif page.questions is not None and (page.end is None or not self._clock.has_passed(page.end)):
            return page.questions
        return await page.reading.run(partial(self._read_into, page, skip, limit))

    def clear(self) -> None:
        """Drop all pages, also those that are being read."""
        self._pages.clear()

    async def close(self) -> None:
        """Cancel the reads."""
        await asyncio.gather(*(page.reading.cancel() for page in self._pages.values()))

    async def _read_into(self, page: _Page, skip: int, limit: int) -> Sequence[Question]:
        # In this order, a poll published between the two reads is on the page; at worst the page is read once more.
        publication = await self._next_publication()
        questions = await self._latest(skip=skip, limit=limit)
        if self._is_synced():
            page.questions, page.end = questions, publication
        return questions
