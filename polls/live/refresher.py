"""The task that keeps polls with subscribers fresh in the cache, without waiting for a request."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from polls.domain.errors import PollsUnavailable
from polls.domain.poll import Poll
from polls.live.broadcast import Broadcaster
from polls.live.cache_entry import CacheEntry

logger = logging.getLogger(__name__)


class Refresher:
    """A task that calls `read(question id)` for polls that have subscribers in `broadcaster` and aren't fresh.

    A poll that can't be read is tried again after `retry_interval` seconds.
    """

    def __init__(
        self,
        entries: Mapping[int, CacheEntry],
        broadcaster: Broadcaster,
        read: Callable[[int], Awaitable[Poll | None]],
        *,
        retry_interval: float,
    ) -> None:
        self._entries = entries
        self._broadcaster = broadcaster
        self._read = read
        self._retry_interval = retry_interval
        self._needed = asyncio.Event()

    def schedule(self, question_id: int) -> None:
        """Have a poll read again if it has subscribers and isn't fresh."""
        if question_id in self._broadcaster and not self._is_fresh(question_id):
            self._needed.set()

    def schedule_all(self) -> None:
        """Have all polls read again that have subscribers and aren't fresh."""
        self._needed.set()

    async def run(self, is_synced: Callable[[], bool]) -> None:
        """Read polls when scheduled, but not while `is_synced` returns False: they wouldn't stay fresh."""
        while True:
            await self._needed.wait()
            self._needed.clear()
            for question_id in self._broadcaster.question_ids:
                if is_synced() and not self._is_fresh(question_id):
                    await self._refresh(question_id)

    def _is_fresh(self, question_id: int) -> bool:
        entry = self._entries.get(question_id)
        return entry is not None and entry.is_fresh

    async def _refresh(self, question_id: int) -> None:
        try:
            await self._read(question_id)
        except Exception as error:  # one poll's error must not stop the refresh of others
            if not isinstance(error, PollsUnavailable):
                logger.exception("poll %d can't be read for its WebSockets; it will be read again", question_id)
            self._needed.set()
            await asyncio.sleep(self._retry_interval)
