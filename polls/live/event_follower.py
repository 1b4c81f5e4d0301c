"""The follower of the database's events, which applies them to the poll cache."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from datetime import datetime

from polls.domain.events import CacheInvalidated, ClockSync, Event, ListenerLost, PollChanged
from polls.live.cache_entry import CacheEntry
from polls.live.clock import DatabaseClock
from polls.live.list_cache import PollListCache
from polls.live.refresher import Refresher

logger = logging.getLogger(__name__)


class EventFollower:
    """A task that applies events to `entries`, `lists` and `clock`, and calls `drop(question id)` for deleted polls.

    `generation` counts CacheInvalidated events: revisions are comparable only within one generation.
    """

    def __init__(
        self,
        entries: Mapping[int, CacheEntry],
        lists: PollListCache,
        clock: DatabaseClock,
        refresher: Refresher,
        drop: Callable[[int], None],
    ) -> None:
        self._entries = entries
        self._lists = lists
        self._clock = clock
        self._refresher = refresher
        self._drop = drop
        self._synced = asyncio.Event()
        self.generation = 0

    @property
    def is_synced(self) -> bool:
        """Return whether every change is announced at present."""
        return self._synced.is_set()

    async def wait_until_synced(self) -> None:
        """Return when every change is announced."""
        await self._synced.wait()

    async def follow(self, events: AsyncGenerator[Event, None]) -> None:
        """Apply `events` until they end or can't be applied."""
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
            case PollChanged():
                self._apply(event)
            case ClockSync(now, seconds):
                self._sync_clock(now, seconds)
            case CacheInvalidated():
                self.generation += 1
                self._invalidate_all()
                self._synced.set()
                self._refresher.schedule_all()
            case ListenerLost():
                self._synced.clear()
                self._invalidate_all()

    def _apply(self, change: PollChanged) -> None:
        if change.votes is None:
            self._lists.clear()
        if entry := self._entries.get(change.question_id):
            entry.apply(change)
            if change.revision is None:
                self._drop(change.question_id)
        self._refresher.schedule(change.question_id)

    def _sync_clock(self, now: datetime, seconds: float) -> None:
        if self._clock.sync(now, seconds):
            self._lists.clear()
            for entry in self._entries.values():
                entry.reset_timer()

    def _invalidate_all(self) -> None:
        self._lists.clear()
        for entry in self._entries.values():
            entry.invalidate()
