"""Broadcasts of each poll's newest state to its subscribers; a slow subscriber delays no other."""

import asyncio
from time import monotonic
from typing import Protocol

from polls.domain.poll import Poll
from polls.domain.visibility import Role
from polls.live.channel import SENDS_PER_ITERATION, Channel, Group, Subscriber, send_version

MIN_INTERVAL = 0.1  # seconds between two messages about a poll
MAX_INTERVAL = 1  # seconds between them if there are so many subscribers that sending takes more than MAX_SHARE
MAX_SHARE = 0.1  # of the time of the event loop
KEEPALIVE_INTERVAL = 5  # seconds between two keepalives; static/js/live.js waits 12 seconds for a message
KEEPALIVE = b"{}"  # nothing has changed

# Close codes of WebSockets (RFC 6455, section 7.4.1, and IANA's registry).
NORMAL_CLOSURE = 1000
GOING_AWAY = 1001
SERVICE_RESTART = 1012  # the client should reconnect and discard its state


class Encode(Protocol):
    """A function that returns the message of a poll."""

    def __call__(self, poll: Poll, role: Role, *, is_live: bool) -> bytes | None:
        """Return a poll's message to subscribers with `role`, or None if the poll isn't public.

        `is_live`: whether its changes are known at once.
        """


class Broadcaster:
    """The subscribers of each poll.

    A message is encoded once for each role that subscribers of the poll have in it, and once for all if the poll never
    hides its results. At most one message per poll is sent in `interval` seconds, and with so many subscribers that
    sending takes more than MAX_SHARE of the time, in up to `max_interval` seconds. KEEPALIVE is sent to all subscribers
    every `keepalive` seconds, unless they have just got a message. A subscriber that doesn't keep up gets no message
    until it does, and then the newest.
    """

    def __init__(
        self,
        encode: Encode,
        *,
        interval: float = MIN_INTERVAL,
        max_interval: float = MAX_INTERVAL,
        keepalive: float = KEEPALIVE_INTERVAL,
    ) -> None:
        self._encode = encode
        self._interval = interval
        self._max_interval = max_interval
        self._keepalive = keepalive
        self._channels: dict[int, Channel] = {}
        self._closing: set[asyncio.Future[list[BaseException | None]]] = set()
        self._closed: tuple[int, str] | None = None  # close code and reason

    def __contains__(self, question_id: int) -> bool:
        """Return whether a poll has subscribers."""
        return question_id in self._channels

    def __len__(self) -> int:
        """Return the number of subscribers of all polls."""
        return sum(channel.size for channel in self._channels.values())

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
        role = channel.add(subscriber)
        if message := self._message(channel, role):
            await subscriber.send(message)

    def unsubscribe(self, question_id: int, subscriber: Subscriber) -> None:
        """Remove a subscriber, if it is one."""
        channel = self._channels.get(question_id)
        if channel and channel.remove(subscriber) and not channel.size:
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
        """Send KEEPALIVE to all subscribers after each interval, except those who haven't read their messages.

        Nor is it sent about a poll that has changed in the last half of the interval: its subscribers get that.
        """
        while True:
            await asyncio.sleep(self._keepalive)
            lately = monotonic() - self._keepalive / 2
            channels = [channel for channel in self._channels.values() if channel.changed_at <= lately]
            subscribers = [subscriber for channel in channels for subscriber in channel.subscribers]
            for position, subscriber in enumerate(subscribers, start=1):
                if subscriber.keeps_up:
                    await subscriber.send(KEEPALIVE)
                if position % SENDS_PER_ITERATION == 0:
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

    def _message(self, channel: Channel, role: Role) -> bytes | None:
        """Return the newest message, encoded once for a role; close the channel if the poll isn't public any more."""
        message = channel.messages.get(role)
        if message is None:
            message = self._encode(channel.latest, role, is_live=channel.is_live)
            if message is None:
                self.close_channel(channel.latest.question.id, NORMAL_CLOSURE, "this poll isn't public any more")
                return None
            channel.messages[role] = message
        return message

    def _messages(self, channel: Channel) -> list[tuple[Group, bytes]]:
        """Return the newest message for each group of subscribers; none if the poll isn't public any more."""
        messages = []
        for role, group in list(channel.groups.items()):
            if group:
                message = self._message(channel, role)
                if message is None:
                    return []
                messages.append((group, message))
        return messages

    def _remove_channel(self, question_id: int) -> Channel | None:
        channel = self._channels.pop(question_id, None)
        if channel and channel.sender:
            channel.sender.cancel()
        return channel

    async def _send_to_all(self, channel: Channel) -> None:
        """Send the newest message to all subscribers, again after the interval, until all have it.

        With many subscribers the interval is longer: each message is work for a proxy, too, and votes need both.
        """
        loop = asyncio.get_running_loop()
        try:
            while messages := self._messages(channel):
                version, started = channel.version, loop.time()
                sent = [await send_version(group, message, version) for group, message in messages]
                interval = max(self._interval, min(sum(seconds for _, seconds in sent) / MAX_SHARE, self._max_interval))
                await asyncio.sleep(started + interval - loop.time())
                if all(have_it for have_it, _ in sent) and version == channel.version:
                    break
        finally:
            channel.sender = None
