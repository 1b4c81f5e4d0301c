"""What time it is by the database's clock, which is the one that publishes and closes polls."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

_TOO_SLOW = 0.05  # seconds for an answer to "what time is it?"
_LEAP = timedelta(seconds=0.2)
_AFTERWARDS = 0.01  # seconds by which we are late, rather than early


class DatabaseClock:
    """Goes by the loop's clock, which nobody sets, from the moment that the database has told."""

    def __init__(self) -> None:
        self._told = datetime.now(UTC), 0.0  # a moment, and what the loop's clock showed then

    def now(self) -> datetime:
        """What time it is."""
        moment, then = self._told
        return moment + timedelta(seconds=asyncio.get_running_loop().time() - then)

    def set(self, now: datetime, seconds: float) -> bool:
        """Learn that it was `now` during the last `seconds`, and say whether that is a surprise."""
        leap = abs(now - self.now())
        if seconds > _TOO_SLOW and leap.total_seconds() < seconds:
            return False  # what looks like a leap may be the time that the answer took
        self._told = now, asyncio.get_running_loop().time() - seconds / 2
        return leap > _LEAP

    def call_at(self, moment: datetime, call: Callable[[], None]) -> asyncio.TimerHandle:
        """Call at that moment, or a little after. Where the clock is set, that has to be asked for anew."""
        seconds = (moment - self.now()).total_seconds()
        return asyncio.get_running_loop().call_later(seconds + _AFTERWARDS, call)
