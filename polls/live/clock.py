"""The database's clock, which decides when polls are published and closed."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

_SLOW_READING = 0.05  # seconds that a query of the database's time takes
_JUMP = timedelta(seconds=0.2)
_MAX_AHEAD = timedelta(seconds=5)
_TIMER_DELAY = 0.01  # seconds by which timers fire late rather than early


class DatabaseClock:
    """The database's time, advanced by the event loop's monotonic clock since the last synchronization."""

    def __init__(self) -> None:
        self._reference = datetime.now(UTC), 0.0  # the database's time and the loop's at one moment

    def now(self) -> datetime:
        """Return the database's time, in UTC."""
        moment, loop_time = self._reference
        return moment + timedelta(seconds=asyncio.get_running_loop().time() - loop_time)

    def is_ahead(self, moment: datetime) -> bool:
        """Return whether `moment`, read from the database, is later than this clock knows: the database's jumped."""
        return moment > self.now() + _MAX_AHEAD

    def sync(self, now: datetime, seconds: float) -> bool:
        """Set the clock: it was `now` at some point in the last `seconds`. Return whether it jumped."""
        jump = abs(now - self.now())
        if seconds > _SLOW_READING and jump.total_seconds() < seconds:
            return False  # the difference may be no more than the time that the answer took
        self._reference = now, asyncio.get_running_loop().time() - seconds / 2
        return jump > _JUMP

    def has_passed(self, moment: datetime) -> bool:
        """Return whether `moment` is over, and the calls that were scheduled for it have been made."""
        return self.now() >= moment + timedelta(seconds=2 * _TIMER_DELAY)

    def call_at(self, moment: datetime, call: Callable[[], None]) -> asyncio.TimerHandle:
        """Schedule `call` shortly after `moment`. A timer doesn't follow later jumps of the clock."""
        seconds = (moment - self.now()).total_seconds()
        return asyncio.get_running_loop().call_later(seconds + _TIMER_DELAY, call)
