"""The cache of polls, kept fresh by the database's events and bypassed while there are none."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from functools import partial
from itertools import islice

from polls.domain.errors import PollNotFound
from polls.domain.events import Event
from polls.domain.poll import Poll, Question
from polls.live.broadcast import NORMAL_CLOSURE, SERVICE_RESTART, Broadcaster, Subscriber
from polls.live.cache_entry import CacheEntry
from polls.live.clock import DatabaseClock
from polls.live.event_follower import EventFollower
from polls.live.list_cache import FindLatest, NextPublication, PollListCache
from polls.live.refresher import Refresher

REVISION_TIMEOUT = 0.3  # seconds to wait for the event of a revision before the database is read
RECHECK_INTERVAL = 1  # seconds between two such reads of a poll
RETRY_INTERVAL = 0.2  # seconds until a poll with subscribers that couldn't be read is read again
_MAX_READS = 5  # of a poll that changes during each of them; then the last one is used

FindPoll = Callable[[int], Awaitable[Poll | None]]


class PollCache:
    """At most `max_polls` polls, and lists of polls, read on first use and kept fresh by events.

    `find` reads a poll, published or not; `latest` reads a list of published polls, and `next_publication` the time of
    the next publication. While no events arrive, every request reads from the database. Changes of polls are published
    to `broadcaster`; polls that it has subscribers for are kept beyond `max_polls`. Intervals and time-outs are in
    seconds.
    """

    def __init__(  # noqa: PLR0913 - its sources and its limits
        self,
        find: FindPoll,
        latest: FindLatest,
        next_publication: NextPublication,
        broadcaster: Broadcaster,
        *,
        max_polls: int,
        clock: DatabaseClock | None = None,
        revision_timeout: float = REVISION_TIMEOUT,
        recheck_interval: float = RECHECK_INTERVAL,
        retry_interval: float = RETRY_INTERVAL,
    ) -> None:
        self._find = find
        self._clock = clock or DatabaseClock()
        self._lists = PollListCache(latest, next_publication, self._clock, lambda: self.is_synced)
        self._broadcaster = broadcaster
        self._max_polls = max_polls
        self._revision_timeout = revision_timeout
        self._recheck_interval = recheck_interval
        self._entries: OrderedDict[int, CacheEntry] = OrderedDict()  # least recently used first
        self._refresher = Refresher(self._entries, broadcaster, self._read, retry_interval=retry_interval)
        self._follower = EventFollower(self._entries, self._lists, self._clock, self._refresher, self._drop)

    def open(self, events: AsyncGenerator[Event, None]) -> None:
        """Start to follow the database's events."""
        self._loop = asyncio.get_running_loop()
        self._tasks = [
            self._loop.create_task(self._follower.follow(events), name="event follower"),
            self._loop.create_task(self._refresher.run(lambda: self.is_synced), name="poll refresher"),
        ]

    async def close(self) -> None:
        """Stop following events and cancel all reads and timers."""
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        await asyncio.gather(self._lists.close(), *(entry.close() for entry in self._entries.values()))

    def __contains__(self, question_id: int) -> bool:
        """Return whether a poll is in the cache, fresh or not."""
        return question_id in self._entries

    @property
    def size(self) -> int:
        """Return the number of polls in the cache."""
        return len(self._entries)  # not __len__: an empty cache would be false

    @property
    def is_synced(self) -> bool:
        """Return whether events arrive. While they don't, each request reads from the database."""
        return self._follower.is_synced

    @property
    def generation(self) -> int:
        """Return how many times all polls were invalidated; revisions are comparable only within a generation."""
        return self._follower.generation

    async def wait_until_synced(self) -> None:
        """Return when events arrive."""
        await self._follower.wait_until_synced()

    async def subscribe(self, question_id: int, subscriber: Subscriber) -> None:
        """Send a poll to `subscriber` now and after each change. Raises PollNotFound, PollsUnavailable."""
        poll = await self.find(question_id)
        await self._broadcaster.subscribe(poll, subscriber)
        self._refresher.schedule(question_id)

    async def find(self, question_id: int, *, after: int = 0) -> Poll:
        """Return a poll at revision `after` or later if that exists; the same object while nothing changes.

        Raises PollNotFound, PollsUnavailable.
        """
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
        if poll is not None and poll.revision < after:
            poll = await self._wait_for_revision(question_id, after)
        if poll is None:
            raise PollNotFound(question_id)
        return poll

    def last_known(self, question_id: int) -> Poll | None:
        """Return a poll as it was last read or announced, even if it isn't fresh; None if it isn't in the cache."""
        entry = self._entries.get(question_id)
        return entry.poll if entry else None

    async def latest(self, *, skip: int, limit: int) -> Sequence[Question]:
        """Return published questions, newest first, the same object while nothing changes. Raises PollsUnavailable."""
        return await self._lists.find(skip=skip, limit=limit)

    async def _read(self, question_id: int) -> Poll | None:
        """Read a poll; concurrent callers share one read. Raises PollsUnavailable."""
        entry = self._entries.get(question_id)
        if entry is None:
            entry = self._entries[question_id] = CacheEntry(self._clock, self._broadcaster)
        return await entry.reading.run(partial(self._read_into, question_id, entry))

    async def _read_into(self, question_id: int, entry: CacheEntry) -> Poll | None:
        """Read a poll, again if it changes meanwhile, and store it in the cache."""
        try:
            for _ in range(_MAX_READS):
                entry.pending_counts = None
                before = entry.invalidations, self.generation
                poll = await self._find(question_id)
                if before == (entry.invalidations, self.generation):
                    entry.is_fresh = self.is_synced
                    break
        finally:
            if not entry.is_fresh:
                if entry.poll is None:
                    self._entries.pop(question_id, None)
                self._refresher.schedule(question_id)
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
        """Drop the least recently used polls beyond the limit, except those in use."""
        excess = len(self._entries) - self._max_polls
        if excess > 0:
            idle = (question_id for question_id in self._entries if self._is_idle(question_id))
            for question_id in list(islice(idle, excess)):
                self._entries.pop(question_id).clear()

    def _is_idle(self, question_id: int) -> bool:
        return not self._entries[question_id].is_in_use and question_id not in self._broadcaster

    def _drop(self, question_id: int) -> None:
        """Remove a deleted poll and close the connections of its subscribers."""
        if entry := self._entries.get(question_id):
            entry.clear()
            if not entry.reading.is_running:
                del self._entries[question_id]
        self._broadcaster.close_channel(question_id, NORMAL_CLOSURE, "this poll was deleted")

    async def _wait_for_revision(self, question_id: int, revision: int) -> Poll | None:
        """Return a poll when the cache has `revision`; after a time-out read it, once an interval for all callers."""
        entry = self._entries.get(question_id)
        if entry is None:
            return await self._read(question_id)
        waiter: asyncio.Future[None] = self._loop.create_future()
        entry.waiters[waiter] = revision
        try:
            async with asyncio.timeout(self._revision_timeout):
                await waiter
        except TimeoutError:
            await entry.recheck.run(partial(self._pause_before_recheck, entry))
            return await self._read(question_id)
        finally:
            del entry.waiters[waiter]
        return entry.poll

    async def _pause_before_recheck(self, entry: CacheEntry) -> None:
        """Wait for the end of the interval, and invalidate the entry: the poll may be newer than the cache."""
        await asyncio.sleep(entry.rechecked_at + self._recheck_interval - self._loop.time())
        entry.rechecked_at = self._loop.time()
        entry.invalidate()
