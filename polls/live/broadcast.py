"""Broadcasts of each poll's newest state to its subscribers; a slow subscriber delays no other."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from polls.domain.poll import Poll

MIN_INTERVAL = 0.1  # seconds between two messages about a poll
KEEPALIVE_INTERVAL = 5  # seconds between two keepalives; static/js/live-results.js waits 12 seconds for one
KEEPALIVE = b"{}"  # what the subscriber has is still so
_MAX_OVERTAKEN = timedelta(seconds=5)  # by which a read may be older than one that was published before it
_SENDS_PER_ITERATION = 100  # of the event loop

# Close codes of WebSockets (RFC 6455, section 7.4.1, and IANA's registry).
NORMAL_CLOSURE = 1000
GOING_AWAY = 1001
SERVICE_RESTART = 1012  # the client should reconnect and discard its state


class Subscriber(Protocol):
    """A connection that receives a poll's messages."""

    @property
    def keeps_up(self) -> bool:
        """Return whether its write buffer is empty; nothing is sent while it isn't."""

    async def send(self, message: bytes) -> None:
        """Send a message. Doesn't wait while the subscriber keeps up, and doesn't fail if it is gone."""

    async def close(self, code: int, reason: str) -> None:
        """Close the connection with a WebSocket close code."""


class Encode(Protocol):
    """A function that returns the message of a poll."""

    def __call__(self, poll: Poll, *, is_live: bool) -> bytes | None:
        """Return a poll's message, or None if it isn't public. `is_live`: whether its changes are known at once."""


class Broadcaster:
    """The subscribers of each poll.

    At most one message per poll is sent in `interval` seconds, and KEEPALIVE to all subscribers every `keepalive`
    seconds. A subscriber that doesn't keep up gets no message until it does, and then the newest.
    """

    def __init__(
        self,
        encode: Encode,
        *,
        interval: float = MIN_INTERVAL,
        keepalive: float = KEEPALIVE_INTERVAL,
    ) -> None:
        self._encode = encode
        self._interval = interval
        self._keepalive = keepalive
        self._channels: dict[int, Channel] = {}
        self._closing: set[asyncio.Future[list[BaseException | None]]] = set()
        self._closed: tuple[int, str] | None = None  # close code and reason

    def __contains__(self, question_id: int) -> bool:
        """Return whether a poll has subscribers."""
        return question_id in self._channels

    def __len__(self) -> int:
        """Return the number of subscribers of all polls."""
        return sum(len(channel.subscribers) for channel in self._channels.values())

    @property
    def question_ids(self) -> list[int]:
        """Return the ids of the polls that have subscribers."""
        return list(self._channels)

    async def subscribe(self, poll: Poll, subscriber: Subscriber, *, is_live: bool = True) -> None:
        """Send the newest state of `poll` to `subscriber` now, and each change until it unsubscribes."""
        if self._closed:
            await subscriber.close(*self._closed)
            return
        channel = self._channels.setdefault(poll.question.id, Channel(poll, is_live))
        self.publish(poll, is_live=is_live)
        channel.subscribers[subscriber] = channel.version
        if message := self._message(channel):
            await subscriber.send(message)

    def unsubscribe(self, question_id: int, subscriber: Subscriber) -> None:
        """Remove a subscriber, if it is one."""
        channel = self._channels.get(question_id)
        if channel and channel.subscribers.pop(subscriber, None) is not None and not channel.subscribers:
            self._remove_channel(question_id)

    def publish(self, poll: Poll, *, is_live: bool = True) -> None:
        """Send `poll` to its subscribers if it differs from what they have. Returns at once."""
        channel = self._channels.get(poll.question.id)
        if channel and channel.update(poll, is_live=is_live) and channel.sender is None:
            channel.sender = asyncio.create_task(self._send_to_all(channel), name="poll broadcast")

    def mark_stale(self, *question_ids: int) -> None:
        """Tell the subscribers of polls that what they have may be out of date, until it is published as live."""
        for question_id in question_ids:
            if channel := self._channels.get(question_id):
                self.publish(channel.latest, is_live=False)

    async def send_keepalives(self) -> None:
        """Send KEEPALIVE to all subscribers after each interval; one that hasn't read its messages gets none."""
        while True:
            await asyncio.sleep(self._keepalive)
            subscribers = [subscriber for channel in self._channels.values() for subscriber in channel.subscribers]
            for position, subscriber in enumerate(subscribers, start=1):
                if subscriber.keeps_up:
                    await subscriber.send(KEEPALIVE)
                if position % _SENDS_PER_ITERATION == 0:
                    await asyncio.sleep(0)

    def close_channel(self, question_id: int, code: int, reason: str) -> None:
        """Close the connections of a poll's subscribers. Returns at once."""
        if channel := self._remove_channel(question_id):
            closing = asyncio.gather(
                *(subscriber.close(code, reason) for subscriber in channel.subscribers), return_exceptions=True
            )
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def close(self, code: int, reason: str) -> None:
        """Close the connections of all subscribers, also of later ones; return when they are closed."""
        self._closed = code, reason
        for question_id in self.question_ids:
            self.close_channel(question_id, code, reason)
        if self._closing:
            await asyncio.wait(self._closing)

    def _message(self, channel: "Channel") -> bytes | None:
        """Return the newest message, encoded once for all; close the channel if the poll isn't public any more."""
        if channel.message is None:
            channel.message = self._encode(channel.latest, is_live=channel.is_live)
            if channel.message is None:
                self.close_channel(channel.latest.question.id, NORMAL_CLOSURE, "this poll isn't public any more")
        return channel.message

    def _remove_channel(self, question_id: int) -> "Channel | None":
        channel = self._channels.pop(question_id, None)
        if channel and channel.sender:
            channel.sender.cancel()
        return channel

    async def _send_to_all(self, channel: "Channel") -> None:
        """Send the newest message to all subscribers, again after the interval, until all have it."""
        loop = asyncio.get_running_loop()
        try:
            while message := self._message(channel):
                version, started = channel.version, loop.time()
                all_have_it = await _send_version(channel, message, version)
                took = loop.time() - started
                # Leave the loop to other tasks for at least half the time that sending to many subscribers takes.
                await asyncio.sleep(max(self._interval - took, took / 2))
                if all_have_it and version == channel.version:
                    break
        finally:
            channel.sender = None


@dataclass(slots=True, eq=False)
class Channel:
    """A poll's newest state and message, and its subscribers with the version of the last message sent to each."""

    latest: Poll
    is_live: bool
    message: bytes | None = None
    version: int = 0
    subscribers: dict[Subscriber, int] = field(default_factory=dict)
    sender: asyncio.Task[None] | None = None

    def update(self, poll: Poll, *, is_live: bool) -> bool:
        """Replace the newest state unless `poll` is older. Return whether there is a new message to send."""
        before = self._contents
        self.is_live = is_live
        if self._is_newer(poll):
            self.latest = poll
        if before == self._contents:
            return False
        self.message = None
        self.version += 1
        return True

    def _is_newer(self, poll: Poll) -> bool:
        if poll.revision != self.latest.revision:
            return poll.revision > self.latest.revision
        # If it is older by more, the clock of the database has gone back.
        return not timedelta() <= self.latest.as_of - poll.as_of < _MAX_OVERTAKEN

    @property
    def _contents(self) -> tuple[int, bool, bool, bool]:
        """Return the values on which the message depends."""
        return self.latest.revision, self.latest.is_published, self.latest.is_closed, self.is_live


async def _send_version(channel: Channel, message: bytes, version: int) -> bool:
    """Send a message to the subscribers that don't have it. Return whether all have it now."""
    all_have_it = True
    for position, subscriber in enumerate(list(channel.subscribers), start=1):
        if channel.subscribers.get(subscriber, version) < version:
            if subscriber.keeps_up:
                channel.subscribers[subscriber] = version
                await subscriber.send(message)
            else:
                all_have_it = False
        if position % _SENDS_PER_ITERATION == 0:
            await asyncio.sleep(0)
    return all_have_it
