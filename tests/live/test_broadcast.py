"""The audience of a poll, with watchers whom a test can make slow."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from polls.domain.poll import Choice, Poll, Question
from polls.live.broadcast import DONE, GOING_AWAY, Broadcaster

PAUSE = 0.05


class Screen:
    """A watcher who remembers what came, and keeps up for as long as a test lets it."""

    def __init__(self) -> None:
        self.keeps_up = True
        self.messages: list[str] = []
        self.dismissed: tuple[int, str] | None = None

    async def send(self, message: bytes) -> None:
        self.messages.append(message.decode())

    async def dismiss(self, code: int, reason: str) -> None:
        self.dismissed = code, reason


class Encoder:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, poll: Poll) -> bytes | None:
        self.calls += 1
        return f"{poll.revision}{' closed' if poll.is_closed else ''}".encode() if poll.is_published else None


@pytest.fixture
def encode() -> Encoder:
    return Encoder()


@pytest.fixture
def audience(encode: Encoder) -> Broadcaster:
    return Broadcaster(encode, pause=PAUSE)


At = Callable[..., Poll]


@pytest.fixture
def at(now: datetime) -> At:
    """The poll at a revision: `at(3)`."""

    def at(revision: int, poll_id: int = 1, later: timedelta = timedelta(0)) -> Poll:
        question = Question(poll_id, "Tea?", now, now + timedelta(hours=1))
        return Poll(question, (Choice(1, "Yes", revision),), now + later, revision, revision)

    return at


async def pauses(number: float = 1) -> None:
    await asyncio.sleep(number * PAUSE + 0.02)


async def test_who_comes_sees_how_it_stands_at_once(audience: Broadcaster, at: At) -> None:
    screen = Screen()

    await audience.join(at(3), screen)

    assert screen.messages == ["3"]


async def test_a_change_is_told_at_once_to_all_who_watch_this_poll(audience: Broadcaster, at: At) -> None:
    here, here_too, elsewhere = Screen(), Screen(), Screen()
    await audience.join(at(1), here)
    await audience.join(at(1), here_too)
    await audience.join(at(1, poll_id=2), elsewhere)

    audience.show(at(2))
    await asyncio.sleep(0)

    assert (here.messages, here_too.messages, elsewhere.messages) == (["1", "2"], ["1", "2"], ["1"])


async def test_a_burst_is_merged_and_its_last_state_is_told(audience: Broadcaster, encode: Encoder, at: At) -> None:
    screen = Screen()
    await audience.join(at(0), screen)

    for revision in range(1, 101):
        audience.show(at(revision))
        await asyncio.sleep(0)
    await pauses()

    assert screen.messages == ["0", "1", "100"]
    assert encode.calls == 3


async def test_there_are_no_more_messages_than_the_pause_allows(audience: Broadcaster, at: At) -> None:
    screen = Screen()
    await audience.join(at(0), screen)

    begun = asyncio.get_running_loop().time()
    for revision in range(1, 51):
        audience.show(at(revision))
        await asyncio.sleep(PAUSE / 5)
    await pauses()

    took = asyncio.get_running_loop().time() - begun
    assert 3 <= len(screen.messages) <= 2 + took / PAUSE
    assert screen.messages[-1] == "50"


async def test_a_message_is_encoded_once_for_all(audience: Broadcaster, encode: Encoder, at: At) -> None:
    screens = [Screen() for _ in range(500)]
    for screen in screens:
        await audience.join(at(1), screen)

    audience.show(at(2))
    await pauses()

    assert {tuple(screen.messages) for screen in screens} == {("1", "2")}
    assert encode.calls == 2


async def test_others_have_their_turn_while_many_are_told(audience: Broadcaster, at: At) -> None:
    for _ in range(1000):
        await audience.join(at(1), Screen())
    turns = 0

    audience.show(at(2))
    while len(audience) and turns < 5:
        await asyncio.sleep(0)
        turns += 1

    first, *_, last = next(iter(audience._halls.values())).sent.values()
    assert (first, last) == (1, 0)  # five turns later, not all have been told


async def test_who_does_not_keep_up_is_not_waited_for_and_gets_the_newest_later(audience: Broadcaster, at: At) -> None:
    slow, quick = Screen(), Screen()
    await audience.join(at(1), slow)
    await audience.join(at(1), quick)
    slow.keeps_up = False

    for revision in (2, 3, 4):
        audience.show(at(revision))
        await pauses()
    assert (slow.messages, quick.messages) == (["1"], ["1", "2", "3", "4"])

    slow.keeps_up = True
    await pauses()
    assert (slow.messages, quick.messages) == (["1", "4"], ["1", "2", "3", "4"])


async def test_an_older_state_never_follows_a_newer_one(audience: Broadcaster, at: At) -> None:
    screen = Screen()
    await audience.join(at(5), screen)

    audience.show(at(4))
    await pauses()
    await audience.join(at(3), other := Screen())

    assert (screen.messages, other.messages) == (["5"], ["5"])


async def test_what_is_no_news_is_not_told(audience: Broadcaster, at: At) -> None:
    screen = Screen()
    await audience.join(at(5), screen)

    audience.show(at(5, later=timedelta(minutes=1)))
    await pauses()

    assert screen.messages == ["5"]


async def test_a_poll_that_closes_by_time_is_told(audience: Broadcaster, at: At) -> None:
    screen = Screen()
    await audience.join(at(5), screen)

    audience.show(at(5, later=timedelta(hours=1)))
    await pauses()

    assert screen.messages == ["5", "5 closed"]


async def test_who_has_left_is_told_nothing(audience: Broadcaster, at: At) -> None:
    screen = Screen()
    await audience.join(at(1), screen)
    audience.show(at(2))

    audience.leave(1, screen)
    audience.leave(1, screen)
    await pauses()

    assert screen.messages == ["1"]
    assert 1 not in audience
    assert audience.watched == []


async def test_when_there_is_nothing_to_be_seen_any_more_all_have_to_leave(audience: Broadcaster, at: At) -> None:
    screen = Screen()
    await audience.join(at(1), screen)

    audience.show(at(2, later=timedelta(days=-1)))
    await pauses()

    assert screen.messages == ["1"]
    assert screen.dismissed
    assert screen.dismissed[0] == DONE
    assert 1 not in audience


async def test_a_watcher_that_fails_to_leave_holds_up_nobody(audience: Broadcaster, at: At) -> None:
    class Broken(Screen):
        async def dismiss(self, code: int, reason: str) -> None:  # noqa: ARG002
            raise ZeroDivisionError

    screen = Screen()
    await audience.join(at(1), Broken())
    await audience.join(at(1), screen)

    audience.dismiss(1, DONE, "deleted")
    await pauses()

    assert screen.dismissed == (DONE, "deleted")


async def test_at_the_end_everybody_is_sent_away_and_who_comes_later_too(audience: Broadcaster, at: At) -> None:
    screens = [Screen(), Screen()]
    await audience.join(at(1), screens[0])
    await audience.join(at(1, poll_id=2), screens[1])

    await audience.close(GOING_AWAY, "stopping")
    await audience.join(at(1), late := Screen())

    assert [screen.dismissed for screen in (*screens, late)] == [(GOING_AWAY, "stopping")] * 3
    assert late.messages == []
    assert len(audience) == 0
