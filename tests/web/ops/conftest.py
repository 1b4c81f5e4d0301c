"""An application whose listener's connection a test can cut."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime

import pytest

from polls.domain.events import CacheInvalidated, ClockSync, Event, ListenerLost

LoseListener = Callable[[], None]


@pytest.fixture
def lose_listener(monkeypatch: pytest.MonkeyPatch) -> LoseListener:
    """Make the listener of applications that start from now on report a lost connection: `lose_listener()`."""
    lost = asyncio.Event()

    async def listen(_: object) -> AsyncGenerator[Event, None]:
        yield ClockSync(datetime.now(UTC))
        yield CacheInvalidated()
        await lost.wait()
        yield ListenerLost()
        await asyncio.Event().wait()

    monkeypatch.setattr("polls.parts.listen", listen)
    return lost.set
