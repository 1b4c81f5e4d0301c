"""Broadcasts of polls to fake subscribers, which a test can make slow."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from time import monotonic, sleep

import pytest

from polls.domain.poll import Choice, Poll, Question
from polls.domain.settings import DEFAULT_SETTINGS, PollSettings, Results
from polls.domain.visibility import Role
from polls.live.broadcast import GOING_AWAY, MAX_SHARE, NORMAL_CLOSURE, Broadcaster
from tests.live.fakes import FakeSubscriber

INTERVAL = 0.05
AFTER_VOTE = PollSettings(results=Results.AFTER_VOTE)


class Encoder:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, poll: Poll, role: Role, *, is_live: bool) -> bytes | None:
        self.calls += 1
        state = ("" if is_live else " stale") + (" closed" if poll.is_closed else "")
        if poll.hides_results:
            state += f" for {role}"
        return f"{poll.revision}{state}".encode() if poll.is_published else None


@pytest.fixture
def encode() -> Encoder:
    return Encoder()


@pytest.fixture
def broadcaster(encode: Encoder) -> Broadcaster:
    return Broadcaster(encode, interval=INTERVAL)


At = Callable[..., Poll]


@pytest.fixture
def at(now: datetime) -> At:
    """The poll at a revision: `at(3)`."""

    def at(
        revision: int,
        poll_id: int = 1,
        later: timedelta = timedelta(0),
        edition: int = 0,
        settings: PollSettings = DEFAULT_SETTINGS,
    ) -> Poll:
        question = Question(poll_id, "Tea?", now, now + timedelta(hours=1))
        return Poll(question, (Choice(1, "Yes", revision),), now + later, revision, revision, edition, settings)

    return at


async def wait_interval() -> None:
    await asyncio.sleep(INTERVAL + 0.02)


async def test_a_new_subscriber_gets_the_newest_state_at_once(broadcaster: Broadcaster, at: At) -> None:
    subscriber = FakeSubscriber()

    await broadcaster.subscribe(at(3), subscriber)

    assert subscriber.messages == ["3"]


async def test_a_change_is_sent_at_once_to_all_subscribers_of_its_poll(broadcaster: Broadcaster, at: At) -> None:
    one, two, of_another_poll = (FakeSubscriber() for _ in range(3))
    await broadcaster.subscribe(at(1), one)
    await broadcaster.subscribe(at(1), two)
    await broadcaster.subscribe(at(1, poll_id=2), of_another_poll)

    broadcaster.publish(at(2))
    await asyncio.sleep(0)

    assert (one.messages, two.messages, of_another_poll.messages) == (["1", "2"], ["1", "2"], ["1"])


async def test_a_burst_of_changes_is_merged_into_its_last_state(
    broadcaster: Broadcaster, encode: Encoder, at: At
) -> None:
    subscriber = FakeSubscriber()
    await broadcaster.subscribe(at(0), subscriber)

    for revision in range(1, 101):
        broadcaster.publish(at(revision))
        await asyncio.sleep(0)
    await wait_interval()

    assert subscriber.messages == ["0", "1", "100"]
    assert encode.calls == 3


async def test_there_are_no_more_messages_than_the_interval_allows(broadcaster: Broadcaster, at: At) -> None:
    subscriber = FakeSubscriber()
    await broadcaster.subscribe(at(0), subscriber)

    started = asyncio.get_running_loop().time()
    for revision in range(1, 51):
        broadcaster.publish(at(revision))
        await asyncio.sleep(INTERVAL / 5)
    await wait_interval()

    took = asyncio.get_running_loop().time() - started
    assert 3 <= len(subscriber.messages) <= 2 + took / INTERVAL
    assert subscriber.messages[-1] == "50"


async def test_a_message_is_encoded_once_for_all_subscribers(broadcaster: Broadcaster, encode: Encoder, at: At) -> None:
    subscribers = [FakeSubscriber() for _ in range(500)]
    for subscriber in subscribers:
        await broadcaster.subscribe(at(1), subscriber)

    broadcaster.publish(at(2))
    await wait_interval()

    assert {tuple(subscriber.messages) for subscriber in subscribers} == {("1", "2")}
    assert encode.calls == 2


async def test_a_message_is_encoded_once_for_each_role(broadcaster: Broadcaster, encode: Encoder, at: At) -> None:
    subscribers = [FakeSubscriber(role) for role in Role for _ in range(100)]
    for subscriber in subscribers:
        await broadcaster.subscribe(at(1, settings=AFTER_VOTE), subscriber)

    broadcaster.publish(at(2, settings=AFTER_VOTE))
    await wait_interval()

    for subscriber in subscribers:
        assert subscriber.messages == [f"1 for {subscriber.role}", f"2 for {subscriber.role}"]
    assert encode.calls == 2 * len(Role)


async def test_roles_are_asked_for_again_when_the_poll_was_edited(
    broadcaster: Broadcaster, encode: Encoder, at: At
) -> None:
    subscribers = [FakeSubscriber(Role.VOTER) for _ in range(1000)]
    for subscriber in subscribers:
        await broadcaster.subscribe(at(1), subscriber)  # a plain poll: all get the same
    assert encode.calls == 1

    broadcaster.publish(at(2))
    await asyncio.sleep(0)  # it is being sent, and the last ones don't have it yet
    broadcaster.publish(at(3, edition=1, settings=AFTER_VOTE))
    await wait_interval()
    for subscriber in subscribers:
        subscriber.role = Role.STRANGER
    broadcaster.publish(at(4, edition=1, settings=AFTER_VOTE))
    await wait_interval()
    broadcaster.publish(at(5, edition=2, settings=AFTER_VOTE))
    await wait_interval()

    later = ["3 for voter", "4 for voter", "5 for stranger"]
    assert subscribers[0].messages == ["1", "2", *later]
    assert subscribers[-1].messages == ["1", *later]  # no counts that were hidden before it was its turn
    assert len(broadcaster) == 1000


async def test_other_tasks_run_while_a_message_is_sent_to_many(broadcaster: Broadcaster, at: At) -> None:
    subscribers = [FakeSubscriber() for _ in range(1000)]
    for subscriber in subscribers:
        await broadcaster.subscribe(at(1), subscriber)

    broadcaster.publish(at(2))
    for _ in range(5):
        await asyncio.sleep(0)

    assert subscribers[0].messages == ["1", "2"]
    assert subscribers[-1].messages == ["1"]  # after five iterations of the loop, some have yet to get it


class BusySubscriber(FakeSubscriber):
    """A subscriber to whom sending takes a millisecond of the event loop."""

    async def send(self, message: bytes) -> None:
        block(0.001)
        await super().send(message)


async def test_messages_that_take_long_to_send_are_sent_less_often(broadcaster: Broadcaster, at: At) -> None:
    subscribers = [BusySubscriber() for _ in range(20)]

    assert await seconds_between_changes(broadcaster, subscribers, at) > 0.75 * 20 * 0.001 / MAX_SHARE


async def test_they_are_sent_once_within_the_longest_interval(encode: Encoder, at: At) -> None:
    broadcaster = Broadcaster(encode, interval=INTERVAL, max_interval=2 * INTERVAL)
    subscribers = [BusySubscriber() for _ in range(60)]

    assert await seconds_between_changes(broadcaster, subscribers, at) < 0.75 * 60 * 0.001 / MAX_SHARE


async def seconds_between_changes(broadcaster: Broadcaster, subscribers: Sequence[FakeSubscriber], at: At) -> float:
    """Return the seconds from a change that all have got until all have got another, published at once."""
    for subscriber in subscribers:
        await broadcaster.subscribe(at(1), subscriber)
    broadcaster.publish(at(2))
    await until_all_have(subscribers, "2")
    started = monotonic()
    broadcaster.publish(at(3))
    await until_all_have(subscribers, "3")
    return monotonic() - started


def block(seconds: float) -> None:
    """Keep the event loop busy."""
    sleep(seconds)


async def test_other_tasks_do_not_make_messages_less_frequent(broadcaster: Broadcaster, at: At) -> None:
    subscribers = [FakeSubscriber() for _ in range(1000)]  # sending to them takes ten iterations of the event loop
    for subscriber in subscribers:
        await broadcaster.subscribe(at(1), subscriber)

    broadcaster.publish(at(2))
    for _ in range(10):
        block(0.02)
        await asyncio.sleep(0)
    broadcaster.publish(at(3))
    started = monotonic()
    await until_all_have(subscribers, "3")

    assert monotonic() - started < 0.4  # a tenth of the time is more: 0.2 s were others


async def until_all_have(subscribers: Sequence[FakeSubscriber], message: str) -> None:
    async with asyncio.timeout(10):
        while any(subscriber.messages[-1] != message for subscriber in subscribers):
            await asyncio.sleep(0.005)


async def test_a_slow_subscriber_delays_no_other_and_gets_the_newest_state_later(
    broadcaster: Broadcaster, at: At
) -> None:
    slow, fast = FakeSubscriber(), FakeSubscriber()
    await broadcaster.subscribe(at(1), slow)
    await broadcaster.subscribe(at(1), fast)
    slow.keeps_up = False

    for revision in (2, 3, 4):
        broadcaster.publish(at(revision))
        await wait_interval()
    assert (slow.messages, fast.messages) == (["1"], ["1", "2", "3", "4"])

    slow.keeps_up = True
    await wait_interval()
    assert (slow.messages, fast.messages) == (["1", "4"], ["1", "2", "3", "4"])


async def test_an_older_state_never_follows_a_newer_one(broadcaster: Broadcaster, at: At) -> None:
    subscriber = FakeSubscriber()
    await broadcaster.subscribe(at(5), subscriber)

    broadcaster.publish(at(4))
    await wait_interval()
    await broadcaster.subscribe(at(3), other := FakeSubscriber())

    assert (subscriber.messages, other.messages) == (["5"], ["5"])


async def test_a_state_without_a_visible_change_is_not_sent(broadcaster: Broadcaster, at: At) -> None:
    subscriber = FakeSubscriber()
    await broadcaster.subscribe(at(5), subscriber)

    broadcaster.publish(at(5, later=timedelta(minutes=1)))
    await wait_interval()

    assert subscriber.messages == ["5"]


async def test_a_poll_that_closes_by_time_is_sent(broadcaster: Broadcaster, at: At) -> None:
    subscriber = FakeSubscriber()
    await broadcaster.subscribe(at(5), subscriber)

    broadcaster.publish(at(5, later=timedelta(hours=1)))
    await wait_interval()

    assert subscriber.messages == ["5", "5 closed"]


async def test_subscribers_are_told_that_a_poll_may_be_stale_and_that_it_is_live_again(
    broadcaster: Broadcaster, encode: Encoder, at: At
) -> None:
    subscribers = [FakeSubscriber() for _ in range(3)]
    for subscriber in subscribers:
        await broadcaster.subscribe(at(1), subscriber)

    broadcaster.mark_stale(1, 2)
    broadcaster.mark_stale(1)
    await wait_interval()
    await broadcaster.subscribe(at(1), late := FakeSubscriber(), is_live=False)
    broadcaster.publish(at(1))
    await wait_interval()

    assert [subscriber.messages for subscriber in subscribers] == [["1", "1 stale", "1"]] * 3
    assert late.messages == ["1 stale", "1"]
    assert encode.calls == 3


async def test_subscribers_that_keep_up_get_keepalives(encode: Encoder, at: At) -> None:
    broadcaster = Broadcaster(encode, keepalive=INTERVAL)
    one, of_another_poll, slow = (FakeSubscriber() for _ in range(3))
    await broadcaster.subscribe(at(1), one)
    await broadcaster.subscribe(at(1, poll_id=2), of_another_poll)
    await broadcaster.subscribe(at(1), slow)
    slow.keeps_up = False

    task = asyncio.create_task(broadcaster.send_keepalives())
    async with asyncio.timeout(10):
        while len(of_another_poll.messages) < 3:
            await asyncio.sleep(0)
    task.cancel()

    assert one.messages[:3] == of_another_poll.messages == ["1", "{}", "{}"]
    assert slow.messages == ["1"]


async def test_subscribers_that_have_just_got_a_change_get_no_keepalive(encode: Encoder, at: At) -> None:
    broadcaster = Broadcaster(encode, interval=0.01, keepalive=0.2)
    one, stuck = FakeSubscriber(), FakeSubscriber()
    await broadcaster.subscribe(at(0), one)
    await broadcaster.subscribe(at(0), stuck)
    stuck.keeps_up = False  # it is tried again and again: nothing that the other gets

    task = asyncio.create_task(broadcaster.send_keepalives())
    for revision in range(1, 13):
        broadcaster.publish(at(revision))
        await asyncio.sleep(0.05)
    before = list(one.messages)
    async with asyncio.timeout(10):
        while one.messages[-1] != "{}":
            await asyncio.sleep(0.01)
    task.cancel()

    assert "{}" not in before
    assert before[-1] == "12"


async def test_an_unsubscribed_connection_gets_no_message(broadcaster: Broadcaster, at: At) -> None:
    subscriber = FakeSubscriber()
    await broadcaster.subscribe(at(1), subscriber)
    broadcaster.publish(at(2))

    broadcaster.unsubscribe(1, subscriber)
    broadcaster.unsubscribe(1, subscriber)
    await wait_interval()

    assert subscriber.messages == ["1"]
    assert 1 not in broadcaster
    assert broadcaster.question_ids == []


async def test_connections_are_closed_when_a_poll_is_not_public_any_more(broadcaster: Broadcaster, at: At) -> None:
    subscriber = FakeSubscriber()
    await broadcaster.subscribe(at(1), subscriber)

    broadcaster.publish(at(2, later=timedelta(days=-1)))
    await wait_interval()

    assert subscriber.messages == ["1"]
    assert subscriber.closed
    assert subscriber.closed[0] == NORMAL_CLOSURE
    assert 1 not in broadcaster


async def test_a_connection_that_fails_to_close_does_not_keep_others_open(broadcaster: Broadcaster, at: At) -> None:
    class Broken(FakeSubscriber):
        async def close(self, code: int, reason: str) -> None:  # noqa: ARG002
            raise ZeroDivisionError

    subscriber = FakeSubscriber()
    await broadcaster.subscribe(at(1), Broken())
    await broadcaster.subscribe(at(1), subscriber)

    broadcaster.close_channel(1, NORMAL_CLOSURE, "deleted")
    await wait_interval()

    assert subscriber.closed == (NORMAL_CLOSURE, "deleted")


async def test_close_closes_all_connections_and_later_ones(broadcaster: Broadcaster, at: At) -> None:
    subscribers = [FakeSubscriber(), FakeSubscriber()]
    await broadcaster.subscribe(at(1), subscribers[0])
    await broadcaster.subscribe(at(1, poll_id=2), subscribers[1])

    await broadcaster.close(GOING_AWAY, "stopping")
    await broadcaster.subscribe(at(1), late := FakeSubscriber())

    assert [subscriber.closed for subscriber in (*subscribers, late)] == [(GOING_AWAY, "stopping")] * 3
    assert late.messages == []
    assert len(broadcaster) == 0
