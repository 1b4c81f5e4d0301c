"""The cache of polls, kept fresh by the database's events and bypassed while there are none."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from itertools import islice

from polls.domain.errors import PollNotFound, PollsUnavailable
from polls.domain.events import CacheInvalidated, ClockSync, Event, ListenerLost, PollChanged
from polls.domain.poll import Poll
from polls.domain.poll_list import ListPage, ListQuery
from polls.live.broadcast import NORMAL_CLOSURE, SERVICE_RESTART, Broadcaster
from polls.live.cache_entry import CacheEntry
from polls.live.channel import Subscriber
from polls.live.clock import DatabaseClock
from polls.live.list_cache import NextTransition, PollListCache, ReadPage

logger = logging.getLogger(__name__)

_MAX_READS = 5  # of a poll that changes during each of them; then the last one is used


class PollCache:
    """At most `max_polls` polls, and pages of their list, read on first use and kept fresh by events.

    `find` reads a poll, published or not, and `read_page` a page of the list; `next_transition` reads when the next
    poll is published or closed. While no events arrive, every request reads from the database. Changes are published to
    `broadcaster`; polls that it has subscribers for are kept beyond `max_polls`, and read again without a request. A
    poll or page is the same object while nothing changes. `generation` counts CacheInvalidated events: revisions are
    comparable only within one generation. `clock` is the database's. Intervals and time-outs are in seconds.
    """

    def __init__(  # noqa: PLR0913 - its sources and its limits
        self,
        find: Callable[[int], Awaitable[Poll | None]],
        read_page: ReadPage,
        next_transition: NextTransition,
        broadcaster: Broadcaster,
        *,
        max_polls: int,
        clock: DatabaseClock | None = None,
        revision_timeout: float = 0.3,  # to wait for the event of a revision before the database is read
        recheck_interval: float = 1,  # between two such reads of a poll
        retry_interval: float = 0.2,  # until a poll with subscribers that couldn't be read is read again
    ) -> None:
        self._find = find
        self.clock = clock or DatabaseClock()
        self._synced = asyncio.Event()  # while every change is announced
        self._lists = PollListCache(read_page, next_transition, self.clock, self._synced.is_set)
        self._broadcaster = broadcaster
        self._max_polls = max_polls
        self._revision_timeout = revision_timeout
        self._recheck_interval = recheck_interval
        self._retry_interval = retry_interval
        self._entries: OrderedDict[int, CacheEntry] = OrderedDict()  # least recently used first
        self._refresh_needed = asyncio.Event()
        self.generation = 0

    def open(self, events: AsyncGenerator[Event, None]) -> None:
        """Start to follow the database's events, and to send keepalives to subscribers."""
        self._tasks = [
            asyncio.create_task(self._follow(events), name="event follower"),
            asyncio.create_task(self._refresh_watched(), name="poll refresher"),
            asyncio.create_task(self._broadcaster.send_keepalives(), name="keepalives"),
        ]

    async def close(self) -> None:
        """Stop following events and cancel all reads and timers."""
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        await asyncio.gather(self._lists.close(), *(entry.close() for entry in self._entries.values()))

    @property
    def size(self) -> int:
        return len(self._entries)  # not __len__: an empty cache would be false

    @property
    def is_synced(self) -> bool:
        """Return whether events arrive. While they don't, each request reads from the database."""
        return self._synced.is_set()

    async def wait_until_synced(self) -> None:
        await self._synced.wait()

    async def subscribe(self, question_id: int, subscriber: Subscriber) -> None:
        """Send a poll to `subscriber` now and after each change. Raises PollNotFound, PollsUnavailable."""
        poll = await self.find(question_id)
        await self._broadcaster.subscribe(poll, subscriber, is_live=self._is_fresh(question_id))
        self._schedule_refresh(question_id)

    async def find(self, question_id: int, *, after: int = 0) -> Poll:
        """Return a poll, at revision `after` or later if that exists. Raises PollNotFound, PollsUnavailable."""
        entry = self._entries.get(question_id)
        if entry is not None and entry.is_fresh:
            self._entries.move_to_end(question_id)
            poll = entry.poll
        else:
            poll = await self._read(question_id)
            # An event may have changed it between the end of the read and this task's turn.
            entry = self._entries.get(question_id)
            if poll and entry and entry.is_fresh:
                poll = entry.poll
        if poll is None:
            raise PollNotFound(question_id)
        if poll.revision < after:
            if entry := self._entries.get(question_id):
                await entry.wait_for(after, self._revision_timeout, self._recheck_interval)
            return await self.find(question_id)
        return poll

    def last_known(self, question_id: int) -> Poll | None:
        """Return a poll as it was last read or announced, even if it isn't fresh; None if it isn't in the cache."""
        entry = self._entries.get(question_id)
        return entry.poll if entry else None

    async def latest(self, query: ListQuery) -> ListPage:
        """Return a page of the list of published polls. Raises PollsUnavailable, TooManySearches."""
        return await self._lists.find(query)

    async def _read(self, question_id: int) -> Poll | None:
        """Read a poll; concurrent callers share one read. Raises PollsUnavailable."""
        entry = self._entries.get(question_id)
        if entry is None:
            entry = self._entries[question_id] = CacheEntry(self.clock, self._broadcaster)
        return await entry.reading.run(partial(self._read_into, question_id, entry))

    async def _read_into(self, question_id: int, entry: CacheEntry) -> Poll | None:
        try:
            for _ in range(_MAX_READS):
                entry.pending_counts = None
                before = entry.invalidations
                poll = await self._find(question_id)
                if poll and self.clock.is_ahead(poll.as_of):
                    return poll  # not kept: the clock may go back before the next ClockSync
                if before == entry.invalidations:
                    entry.is_fresh = self.is_synced
                    break
        finally:
            if not entry.is_fresh:
                if entry.poll is None:
                    self._entries.pop(question_id, None)
                self._schedule_refresh(question_id)
        if poll is None:
            self._drop(question_id)
            self._entries.pop(question_id, None)
            return None
        return self._store(question_id, entry, entry.apply_pending_counts(poll))

    def _store(self, question_id: int, entry: CacheEntry, poll: Poll) -> Poll:
        """Store a poll that was read, unless the cache has a newer revision. Return the newer one."""
        known = entry.poll
        is_comparable = entry.generation == self.generation
        if known and is_comparable and known.revision > poll.revision:
            entry.publish(known)
            return known
        # A promoted standby may lack changes that the cache has, and have given their revisions to other changes.
        if known and not is_comparable and known.revision >= poll.revision and known != poll:
            self._broadcaster.close_channel(question_id, SERVICE_RESTART, "this poll was restored to an earlier state")
        entry.generation = self.generation
        self._entries[question_id] = entry
        self._entries.move_to_end(question_id)
        entry.publish(poll)
        self._evict()
        return poll

    def _evict(self) -> None:
        excess = max(0, len(self._entries) - self._max_polls)
        idle = (key for key, entry in self._entries.items() if not entry.is_in_use and key not in self._broadcaster)
        for question_id in list(islice(idle, excess)):
            self._entries.pop(question_id).clear()

    def _drop(self, question_id: int) -> None:
        """Remove a deleted poll and close the connections of its subscribers."""
        if entry := self._entries.get(question_id):
            entry.clear()
            if not entry.reading.is_running:
                del self._entries[question_id]
        self._broadcaster.close_channel(question_id, NORMAL_CLOSURE, "this poll was deleted")

    async def _follow(self, events: AsyncGenerator[Event, None]) -> None:
        """Apply the database's events until they end or can't be applied."""
        try:
            async with aclosing(events):
                async for event in events:
                    self._handle(event)
        except Exception:
            logger.exception("following the database's events failed: pages bypass the cache until polls is restarted")
        finally:
            self._handle(ListenerLost())

    def _handle(self, event: Event) -> None:
        match event:
            case PollChanged(question_id):
                self._lists.apply(event)
                if entry := self._entries.get(question_id):
                    entry.apply(event)
                if event.revision is None:
                    self._drop(question_id)
                self._schedule_refresh(question_id)
            case ClockSync(now, seconds):
                if self.clock.sync(now, seconds):  # the clock jumped
                    self._invalidate_all()
                    for entry in self._entries.values():
                        entry.follow_jump()
                    self._refresh_needed.set()
            case CacheInvalidated():
                self.generation += 1
                self._invalidate_all()
                self._synced.set()
                self._refresh_needed.set()
            case ListenerLost():
                self._synced.clear()
                self._invalidate_all()
                self._broadcaster.mark_stale(*self._broadcaster.question_ids)

    def _invalidate_all(self) -> None:
        self._lists.clear()
        for entry in self._entries.values():
            entry.invalidate()

    def _schedule_refresh(self, question_id: int) -> None:
        if question_id in self._broadcaster and not self._is_fresh(question_id):
            self._refresh_needed.set()

    def _is_fresh(self, question_id: int) -> bool:
        entry = self._entries.get(question_id)
        return entry is not None and entry.is_fresh

    async def _refresh_watched(self) -> None:
        """Read polls that have subscribers and aren't fresh, but not without events: they wouldn't stay fresh."""
        while True:
            await self._refresh_needed.wait()
            self._refresh_needed.clear()
            for question_id in self._broadcaster.question_ids:
                if self.is_synced and not self._is_fresh(question_id):
                    await self._refresh(question_id)

    async def _refresh(self, question_id: int) -> None:
        try:
            await self._read(question_id)
        except Exception as error:  # one poll's error must not stop the refresh of others
            if not isinstance(error, PollsUnavailable):
                logger.exception("poll %d can't be read for its WebSockets; it will be read again", question_id)
            self._broadcaster.mark_stale(question_id)
            self._refresh_needed.set()
            await asyncio.sleep(self._retry_interval)
