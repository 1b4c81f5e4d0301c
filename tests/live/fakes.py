"""Fakes and helpers shared by the tests of `polls.live`."""

import asyncio


class FakeSubscriber:
    """A subscriber that records what it receives, and keeps up as long as a test lets it."""

    def __init__(self) -> None:
        self.keeps_up = True
        self.messages: list[str] = []
        self.closed: tuple[int, str] | None = None

    async def send(self, message: bytes) -> None:
        self.messages.append(message.decode())

    async def close(self, code: int, reason: str) -> None:
        self.closed = code, reason


async def run_ready_tasks() -> None:
    """Let the event loop run every task that waits for no timer."""
    for _ in range(30):
        await asyncio.sleep(0)
