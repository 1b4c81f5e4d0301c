"""The subscribers of one poll, by their roles in it, and its newest state and messages."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain
from time import monotonic
from typing import Protocol

from polls.domain.poll import Poll
from polls.domain.visibility import Role

SENDS_PER_ITERATION = 100  # of the event loop
_MAX_OVERTAKEN = timedelta(seconds=5)  # by which a read may be older than one that was published before it


class Subscriber(Protocol):
    """A connection that receives a poll's messages."""

    @property
    def keeps_up(self) -> bool:
        """Return whether its write buffer is empty; nothing is sent while it isn't."""

    def role_in(self, poll: Poll) -> Role:
        """Return its role in `poll`, which hides results from some. It is the same until the poll's edition changes."""

    async def send(self, message: bytes) -> None:
        """Send a message. Doesn't wait while the subscriber keeps up, and doesn't fail if it is gone."""

    async def close(self, code: int, reason: str) -> None:
        """Close the connection with a WebSocket close code."""


# Subscribers with the version of the last message sent to each.
Group = dict[Subscriber, int]


@dataclass(slots=True, eq=False)
class Channel:
    """A poll's newest state and the messages about it, and its subscribers in groups that get the same message.

    If the poll never hides its results, all subscribers are in the group of strangers.
    """

    latest: Poll
    is_live: bool
    version: int = 0
    messages: dict[Role, bytes] = field(default_factory=dict)  # of the newest version, each encoded when it is needed
    groups: dict[Role, Group] = field(default_factory=dict)
    sender: asyncio.Task[None] | None = None
    changed_at: float = float("-inf")  # when the newest version was published, in seconds of monotonic()

    @property
    def subscribers(self) -> Iterator[Subscriber]:
        """Return all subscribers."""
        return chain.from_iterable(self.groups.values())

    @property
    def size(self) -> int:
        """Return the number of subscribers."""
        return sum(map(len, self.groups.values()))

    def add(self, subscriber: Subscriber) -> Role:
        """Add a subscriber that gets the newest message now. Return its role."""
        role = self._role_of(subscriber)
        self.groups.setdefault(role, {})[subscriber] = self.version
        return role

    def remove(self, subscriber: Subscriber) -> bool:
        """Remove a subscriber. Return whether it was one."""
        return any(group.pop(subscriber, None) is not None for group in self.groups.values())

    def update(self, poll: Poll, *, is_live: bool) -> bool:
        """Replace the newest state unless `poll` is older. Return whether there is a new message to send."""
        before = self._contents
        self.is_live = is_live
        if self._is_newer(poll):
            former, self.latest = self.latest, poll
            if former.edition != poll.edition and (former.hides_results or poll.hides_results):
                self._regroup()
        if before == self._contents:
            return False
        self.messages = {}
        self.version += 1
        self.changed_at = monotonic()
        return True

    def _is_newer(self, poll: Poll) -> bool:
        if poll.revision != self.latest.revision:
            return poll.revision > self.latest.revision
        # If it is older by more, the clock of the database has gone back.
        return not timedelta() <= self.latest.as_of - poll.as_of < _MAX_OVERTAKEN

    def _regroup(self) -> None:
        """Move all subscribers to the groups of their roles, which an edit may have changed."""
        former = list(self.groups.values())
        self.groups = {}
        for group in former:
            for subscriber, version in group.items():
                self.groups.setdefault(self._role_of(subscriber), {})[subscriber] = version
            group.clear()  # it may be being sent a message that these may not see any more

    def _role_of(self, subscriber: Subscriber) -> Role:
        return subscriber.role_in(self.latest) if self.latest.hides_results else Role.STRANGER

    @property
    def _contents(self) -> tuple[int, bool, bool, bool]:
        """Return the values on which the messages depend."""
        return self.latest.revision, self.latest.is_published, self.latest.is_closed, self.is_live


async def send_version(group: Group, message: bytes, version: int) -> tuple[bool, float]:
    """Send a message to the subscribers in `group` that don't have it.

    Return whether all have it now, and the seconds that this took, without those of other tasks meanwhile.
    """
    all_have_it, seconds, since = True, 0.0, monotonic()
    for position, subscriber in enumerate(list(group), start=1):
        if group.get(subscriber, version) < version:
            if subscriber.keeps_up:
                group[subscriber] = version
                await subscriber.send(message)
            else:
                all_have_it = False
        if position % SENDS_PER_ITERATION == 0:
            seconds += monotonic() - since
            await asyncio.sleep(0)
            since = monotonic()
    return all_have_it, seconds + monotonic() - since
