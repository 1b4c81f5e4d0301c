"""Who watches a poll: every watcher gets the newest message, none waits for another, and none is waited for."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from polls.domain.poll import Poll

PAUSE = 0.1  # seconds between two messages about a poll, at least
_AT_A_TIME = 100  # watchers, until others have their turn

DONE = 1000  # RFC 6455, section 7.4.1
GOING_AWAY = 1001
RESTORED = 1012  # "service restart" in IANA's registry: come again, and forget what you know


class Watcher(Protocol):
    """Somebody who watches over a connection."""

    @property
    def keeps_up(self) -> bool:
        """Whether everything that was sent has left us. Nothing is sent while that is false."""

    async def send(self, message: bytes) -> None:
        """Send a message. Doesn't wait while the watcher keeps up, and doesn't fail when it is gone."""

    async def dismiss(self, code: int, reason: str) -> None:
        """End the connection, and tell why."""


class Broadcaster:
    """The watchers of each poll. `encode` makes the message of a poll, or None where there is nothing to be seen.

    A watcher who can't keep up gets no message until it can, and then the newest.
    """

    def __init__(self, encode: Callable[[Poll], bytes | None], *, pause: float = PAUSE) -> None:
        self._encode = encode
        self._pause = pause
        self._halls: dict[int, Channel] = {}
        self._dismissals: set[asyncio.Task[None]] = set()
        self._closed: tuple[int, str] | None = None

    def __contains__(self, question_id: int) -> bool:
        """Whether anybody watches this poll."""
        return question_id in self._halls

    def __len__(self) -> int:
        """How many watch."""
        return sum(len(hall.sent) for hall in self._halls.values())

    @property
    def watched(self) -> list[int]:
        """The ids of the polls that are watched."""
        return list(self._halls)

    async def join(self, poll: Poll, watcher: Watcher) -> None:
        """Let `watcher` see `poll` as it stands, and then each change, until they leave."""
        if self._closed:
            await watcher.dismiss(*self._closed)
            return
        question_id = poll.question.id
        hall = self._halls.setdefault(question_id, Channel(poll))
        hall.sent[watcher] = _NOTHING
        self.show(poll)
        if (message := self._message(hall)) and watcher in hall.sent:
            hall.sent[watcher] = hall.number
            await watcher.send(message)

    def leave(self, question_id: int, watcher: Watcher) -> None:
        """Let `watcher` go."""
        hall = self._halls.get(question_id)
        if hall is not None and hall.sent.pop(watcher, None) is not None and not hall.sent:
            self._close(question_id)

    def show(self, poll: Poll) -> None:
        """Tell the watchers of `poll` how it stands, if that is news. Returns at once."""
        hall = self._halls.get(poll.question.id)
        if hall is not None and hall.stage(poll) and hall.performance is None:
            hall.performance = asyncio.get_running_loop().create_task(self._perform(hall), name="a poll's audience")

    def dismiss(self, question_id: int, code: int, reason: str) -> None:
        """Send the watchers of a poll away. Returns at once."""
        if hall := self._close(question_id):
            task = asyncio.get_running_loop().create_task(_dismiss(hall, code, reason))
            self._dismissals.add(task)
            task.add_done_callback(self._dismissals.discard)

    async def close(self, code: int, reason: str) -> None:
        """Send everybody away; return when they have gone."""
        self._closed = code, reason
        for question_id in self.watched:
            self.dismiss(question_id, code, reason)
        if self._dismissals:
            await asyncio.wait(self._dismissals)

    def _close(self, question_id: int) -> "Channel | None":
        hall = self._halls.pop(question_id, None)
        if hall and hall.performance:
            hall.performance.cancel()
        return hall

    def _message(self, hall: "Channel") -> bytes | None:
        """The newest message, encoded once for all. Where there is nothing to be seen, all have to leave."""
        if hall.message is None:
            hall.message = self._encode(hall.poll)
            if hall.message is None:
                self.dismiss(hall.poll.question.id, DONE, "this poll can't be seen any more")
        return hall.message

    async def _perform(self, hall: "Channel") -> None:
        """Send the newest message to all, and again after a pause, until all have it."""
        loop = asyncio.get_running_loop()
        try:
            while message := self._message(hall):
                number, begun = hall.number, loop.time()
                all_have_it = await _send(hall, message, number)
                took = loop.time() - begun
                # Others have their turn, for at least half as long as it takes to tell a large audience.
                await asyncio.sleep(max(self._pause - took, took / 2))
                if all_have_it and number == hall.number:
                    break
        finally:
            hall.performance = None


_NOTHING = -1


class Channel:
    """One poll, its newest message, and how far each of its watchers is: the number of the last message they got."""

    __slots__ = ("message", "number", "performance", "poll", "sent")

    def __init__(self, poll: Poll) -> None:
        self.poll = poll
        self.message: bytes | None = None
        self.number = 0
        self.sent: dict[Watcher, int] = {}
        self.performance: asyncio.Task[None] | None = None

    def stage(self, poll: Poll) -> bool:
        """Put a poll on stage, and say whether that changes anything. An older one never follows a newer one."""
        if poll is self.poll or (poll.revision, poll.as_of) <= (self.poll.revision, self.poll.as_of):
            return False
        before, self.poll = self.poll, poll
        is_news = _state(before) != _state(poll)
        if is_news:
            self.message = None
            self.number += 1
        return is_news


def _state(poll: Poll) -> tuple[int, bool, bool]:
    """What a message can tell of a poll."""
    return poll.revision, poll.is_published, poll.is_closed


async def _send(hall: Channel, message: bytes, number: int) -> bool:
    """Send message `number` to those who don't have it, and say whether all have it now."""
    all_have_it = True
    for place, watcher in enumerate(list(hall.sent), start=1):
        if hall.sent.get(watcher, number) < number:
            if watcher.keeps_up:
                hall.sent[watcher] = number
                await watcher.send(message)
            else:
                all_have_it = False
        if place % _AT_A_TIME == 0:
            await asyncio.sleep(0)
    return all_have_it


async def _dismiss(hall: Channel, code: int, reason: str) -> None:
    await asyncio.gather(*(watcher.dismiss(code, reason) for watcher in hall.sent), return_exceptions=True)
