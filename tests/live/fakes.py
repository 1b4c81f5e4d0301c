"""Fakes and helpers shared by the tests of `polls.live`."""

import asyncio

from polls.domain.poll import Poll
from polls.domain.visibility import Role


class FakeSubscriber:
    """A subscriber that records what it receives, and keeps up and has its role as long as a test lets it."""

    def __init__(self, role: Role = Role.STRANGER) -> None:
        self.keeps_up = True
        self.role = role
        self.messages: list[str] = []
        self.closed: tuple[int, str] | None = None

    def role_in(self, poll: Poll) -> Role:  # noqa: ARG002 - a test sets it
        return self.role

    async def send(self, message: bytes) -> None:
        self.messages.append(message.decode())

    async def close(self, code: int, reason: str) -> None:
        self.closed = code, reason


async def run_ready_tasks() -> None:
    """Let the event loop run every task that waits for no timer."""
    for _ in range(30):
        await asyncio.sleep(0)
