"""The cache of the list of polls, page by page."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from polls.aio import CountedSemaphore, SingleFlight
from polls.domain.errors import PollsUnavailable, TooManySearches
from polls.domain.events import PollChanged
from polls.domain.poll_list import ListPage, ListQuery
from polls.live.clock import DatabaseClock

_MAX_PAGES = 500  # of at most five polls each; the least recently used are evicted
_MAX_WAITING = 20  # expensive queries that wait for another one

ReadPage = Callable[[ListQuery], Awaitable[ListPage]]
NextTransition = Callable[[], Awaitable[datetime | None]]


@dataclass(slots=True, eq=False)
class _CachedPage:
    """A page, valid until `end`, the next publication or end of a poll; `page` is None until it has been read.

    `votes` is the cache's count of vote events when the page was read, `read_at` the loop's time.
    """

    reading: SingleFlight[ListPage] = field(default_factory=SingleFlight)
    page: ListPage | None = None
    end: datetime | None = None
    votes: int = 0
    read_at: float = float("-inf")


class PollListCache:
    """Pages of the list, read with `read` on first use and kept until `clear`.

    They are read again after the time that `next_transition` returned, and for new votes at most once every
    `votes_interval` seconds; the owner of the cache has to call `apply` for each change. Nothing is kept while
    `is_synced` returns False. A page is the same object as long as nothing changes. Of the queries that may take long,
    one runs at a time.
    """

    def __init__(
        self,
        read: ReadPage,
        next_transition: NextTransition,
        clock: DatabaseClock,
        is_synced: Callable[[], bool],
        *,
        votes_interval: float = 1,
    ) -> None:
        self._read = read
        self._next_transition = next_transition
        self._clock = clock
        self._is_synced = is_synced
        self._votes_interval = votes_interval
        self._votes = 0
        self._pages: OrderedDict[ListQuery, _CachedPage] = OrderedDict()  # least recently used first
        self._expensive = CountedSemaphore(1)

    async def find(self, query: ListQuery) -> ListPage:
        """Return a page. Raises PollsUnavailable, TooManySearches."""
        cached = self._pages.get(query)
        if cached is None:
            cached = self._pages[query] = _CachedPage()
            if len(self._pages) > _MAX_PAGES:
                self._pages.popitem(last=False)
        else:
            self._pages.move_to_end(query)
        if cached.page is None or (cached.end is not None and self._clock.has_passed(cached.end)):
            return await self._read_again(query, cached)
        loop_time = asyncio.get_running_loop().time
        if cached.votes == self._votes or loop_time() < cached.read_at + self._votes_interval:
            return cached.page
        try:
            return await self._read_again(query, cached)
        except (PollsUnavailable, TooManySearches):
            cached.read_at = loop_time()
            return cached.page  # only its counts are outdated

    def apply(self, change: PollChanged) -> None:
        """Outdate the counts if only votes were counted, else drop all pages."""
        if change.votes is None:
            self.clear()
        else:
            self._votes += 1

    def clear(self) -> None:
        """Drop all pages, also those that are being read."""
        self._pages.clear()

    async def close(self) -> None:
        """Cancel the reads."""
        await asyncio.gather(*(cached.reading.cancel() for cached in self._pages.values()))

    async def _read_again(self, query: ListQuery, cached: _CachedPage) -> ListPage:
        if not query.is_expensive:
            return await cached.reading.run(partial(self._read_into, cached, query))
        return await cached.reading.run(partial(self._read_in_turn, cached, query))

    async def _read_in_turn(self, cached: _CachedPage, query: ListQuery) -> ListPage:
        if self._expensive.waiting >= _MAX_WAITING:
            raise TooManySearches
        async with self._expensive:
            return await self._read_into(cached, query)

    async def _read_into(self, cached: _CachedPage, query: ListQuery) -> ListPage:
        votes = self._votes
        # In this order, a poll published between the two reads is on the page; at worst the page is read once more.
        end = await self._next_transition()
        page = await self._read(query)
        if not self._is_synced():
            return page
        cached.end, cached.votes, cached.read_at = end, votes, asyncio.get_running_loop().time()
        if cached.page != page:
            cached.page = page
        return cached.page
