"""An entry of the poll cache: a poll, its freshness, and the timer of its next transition."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import datetime

from polls.aio import SingleFlight
from polls.domain.events import PollChanged
from polls.domain.poll import Poll
from polls.live.broadcast import Broadcaster
from polls.live.clock import DatabaseClock


@dataclass(slots=True, eq=False)
class CacheEntry:
    """A poll in the cache; `poll` is None until it has been read.

    `is_fresh` is true while every change since it was read has been applied; `invalidations` counts the calls of
    `invalidate`. `generation` is the cache's `generation` when the poll was read. `reading` reads the poll,
    `pending_counts` is the newest change of counts that was announced meanwhile. `waiters` is {future: the revision
    that it waits for}; `rechecked_at` is the loop's time at which the poll was last invalidated for those that had
    waited too long.
    """

    clock: DatabaseClock
    broadcaster: Broadcaster
    poll: Poll | None = None
    is_fresh: bool = False
    invalidations: int = 0
    generation: int = 0
    reading: SingleFlight[Poll | None] = field(default_factory=SingleFlight)
    pending_counts: PollChanged | None = None
    waiters: dict[asyncio.Future[None], int] = field(default_factory=dict)
    rechecked_at: float = float("-inf")
    _due: datetime | None = None
    _timer: asyncio.TimerHandle | None = None

    @property
    def is_in_use(self) -> bool:
        """Return whether a task reads the poll or waits for it."""
        return self.reading.is_running or bool(self.waiters)

    async def close(self) -> None:
        await self.reading.cancel()
        self.clear()

    def invalidate(self) -> None:
        self.is_fresh = False
        self.invalidations += 1

    def apply(self, change: PollChanged) -> None:
        """Publish the counts of a change; invalidate the entry if anything else may have changed."""
        if change.revision is None:
            self.invalidate()
        elif change.votes is None:
            if not (self.is_fresh and self.poll and change.revision <= self.poll.revision):
                self.invalidate()
        elif self.reading.is_running:
            self.pending_counts = change
        elif self.poll and self.is_fresh:
            poll = _with_counts(self.poll, change)
            if poll is None:
                self.invalidate()
            elif poll is not self.poll:
                self.publish(poll)

    def apply_pending_counts(self, poll: Poll) -> Poll:
        """Return `poll`, just read, with the counts announced meanwhile; the entry isn't fresh if they don't fit."""
        if self.pending_counts is None:
            return poll
        counted = _with_counts(poll, self.pending_counts)
        self.is_fresh = self.is_fresh and counted is not None
        return counted or poll

    def publish(self, poll: Poll) -> None:
        """Store a newer state of the poll, wake the waiters for its revision, and broadcast it."""
        self.poll = poll
        self._set_timer()
        for waiter, revision in self.waiters.items():
            if revision <= poll.revision and not waiter.done():
                waiter.set_result(None)
        self.broadcaster.publish(poll, is_live=self.is_fresh)

    async def wait_for(self, revision: int, seconds: float, interval: float) -> None:
        """Return when the poll has `revision`; after `seconds` invalidate it: it may be newer in the database.

        All callers together invalidate it at most once every `interval` seconds, and wait for that.
        """
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self.waiters[waiter] = revision
        try:
            async with asyncio.timeout(seconds):
                await waiter
        except TimeoutError:
            before = self.rechecked_at
            await asyncio.sleep(before + interval - loop.time())
            if self.rechecked_at == before:  # no other caller was first
                self.rechecked_at = loop.time()
                self.invalidate()
        finally:
            del self.waiters[waiter]

    def clear(self) -> None:
        self.poll = None
        self._set_timer()

    def follow_jump(self) -> None:
        """Publish the poll as of now, after a jump of the clock: it may be published or open again, or no longer."""
        self._due = None
        if self.poll:
            self.poll = replace(self.poll, as_of=self.clock.now())
            self.broadcaster.publish(self.poll)
        self._set_timer()

    def _set_timer(self) -> None:
        due = self.poll.next_transition if self.poll else None
        if due == self._due:
            return
        if self._timer:
            self._timer.cancel()
        self._due = due
        self._timer = self.clock.call_at(due, self._expire) if due else None

    def _expire(self) -> None:
        """Publish the poll as of now: it has just been published or closed by time."""
        self._due = None
        if self.poll and self.is_fresh:
            self.publish(replace(self.poll, as_of=self.clock.now()))


def _with_counts(poll: Poll, change: PollChanged) -> Poll | None:
    """Return `poll` with the counts of `change`, or unchanged if it is newer; None if more than counts has changed."""
    if change.revision is None or change.votes is None:
        return None
    if change.revision <= poll.revision:
        return poll
    if change.edition != poll.edition or not poll.offers(*change.votes) or len(change.votes) != len(poll.choices):
        return None
    return poll.with_counts(change.revision, change.ballots or 0, change.votes, change.points)
