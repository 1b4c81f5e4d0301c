"""The poll cache over a fake database, which a test edits, blocks and breaks, and whose events the test sends."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from polls.domain.errors import PollNotFound, PollsUnavailable
from polls.domain.events import CacheInvalidated, ClockSync, Event, ListenerLost, PollChanged
from polls.domain.poll import Choice, Poll, Question
from polls.domain.poll_list import ListPage, ListQuery, listed
from polls.domain.visibility import Role
from polls.live.broadcast import NORMAL_CLOSURE, SERVICE_RESTART, Broadcaster
from polls.live.clock import DatabaseClock
from polls.live.poll_cache import PollCache
from tests.live.fakes import FakeSubscriber, run_ready_tasks

MAX_POLLS = 5

request_id = ContextVar("request_id", default="none")


class FakeDatabase:
    """A database of polls that a test changes, whose events the test sends; reads block until `unblocked` is set."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.polls: dict[int, Poll] = {}
        self.events: asyncio.Queue[Event] = asyncio.Queue()
        self.finds: list[int] = []
        self.lists = 0
        self.request_ids: set[str] = set()
        self.unblocked = asyncio.Event()
        self.unblocked.set()
        self.is_unreachable = False
        self.after_read: Callable[[int], Awaitable[None]] | None = None

    def add_poll(
        self, question_id: int, *, published: timedelta = timedelta(0), closed: timedelta | None = None
    ) -> None:
        question = Question(question_id, "Tea?", self.now + published, None if closed is None else self.now + closed)
        self.polls[question_id] = Poll(question, (Choice(10 * question_id, "Yes"),), self.now)

    def count(self, question_id: int, votes: int = 1) -> PollChanged:
        """Count votes; return the event."""
        poll = self.polls[question_id]
        votes += poll.ballots
        poll = self.polls[question_id] = poll.with_counts(poll.revision + 1, votes, {10 * question_id: votes})
        return PollChanged(question_id, poll.revision, poll.edition, votes, {10 * question_id: votes})

    def edit(self, question_id: int, text: str = "Coffee?") -> PollChanged:
        poll = self.polls[question_id]
        question = replace(poll.question, text=text)
        poll = replace(poll, question=question, revision=poll.revision + 1, edition=poll.edition + 1)
        self.polls[question_id] = poll
        return PollChanged(question_id, poll.revision, poll.edition)

    async def send(self, *events: Event) -> None:
        for event in events:
            self.events.put_nowait(event)
        await run_ready_tasks()

    async def find(self, question_id: int) -> Poll | None:
        self.finds.append(question_id)
        self.request_ids.add(request_id.get())
        poll = self.polls.get(question_id)
        await self.unblocked.wait()
        if self.is_unreachable:
            raise PollsUnavailable
        if self.after_read:
            await self.after_read(question_id)
        return poll

    async def read_page(self, query: ListQuery) -> ListPage:  # noqa: ARG002 - it has one page
        self.lists += 1
        self.request_ids.add(request_id.get())
        polls = tuple(map(listed, self.polls.values()))
        await self.unblocked.wait()
        if self.is_unreachable:
            raise PollsUnavailable
        return ListPage(polls, len(polls), has_older=False)

    async def next_transition(self) -> datetime | None:
        return min((poll.next_transition for poll in self.polls.values() if poll.next_transition), default=None)

    async def listen(self) -> AsyncGenerator[Event, None]:
        while True:
            yield await self.events.get()


class CountingClock(DatabaseClock):
    """A clock that counts the timers set."""

    def __init__(self) -> None:
        super().__init__()
        self.timers = 0

    def call_at(self, moment: datetime, call: Callable[[], None]) -> asyncio.TimerHandle:
        self.timers += 1
        return super().call_at(moment, call)


@pytest.fixture
def database(now: datetime) -> FakeDatabase:
    return FakeDatabase(now)


@pytest.fixture
def broadcaster() -> Broadcaster:
    def encode(poll: Poll, role: Role, *, is_live: bool) -> bytes:  # noqa: ARG001 - all get the same
        return f"{poll.revision}{'' if is_live else ' stale'}".encode()

    return Broadcaster(encode, interval=0.01)


@pytest.fixture
def clock() -> CountingClock:
    return CountingClock()


@pytest.fixture
def intervals() -> dict[str, float]:
    """The cache's time-outs and intervals, for a test to override."""
    return {}


@pytest.fixture
async def poll_cache(
    database: FakeDatabase, broadcaster: Broadcaster, clock: CountingClock, intervals: dict[str, float], now: datetime
) -> AsyncIterator[PollCache]:
    poll_cache = PollCache(
        database.find,
        database.read_page,
        database.next_transition,
        broadcaster,
        max_polls=MAX_POLLS,
        clock=clock,
        **intervals,
    )
    poll_cache.open(database.listen())
    await database.send(ClockSync(now), CacheInvalidated())
    yield poll_cache
    database.unblocked.set()
    await poll_cache.close()


async def test_a_poll_is_read_once_and_then_cached(poll_cache: PollCache, database: FakeDatabase) -> None:
    database.add_poll(1)

    assert await poll_cache.find(1) is await poll_cache.find(1)
    assert database.finds == [1]


async def test_concurrent_requests_for_a_poll_share_one_read(poll_cache: PollCache, database: FakeDatabase) -> None:
    database.add_poll(1)
    database.unblocked.clear()

    readers = [asyncio.create_task(poll_cache.find(1)) for _ in range(100)]
    await run_ready_tasks()
    database.unblocked.set()

    assert len({id(poll) for poll in await asyncio.gather(*readers)}) == 1
    assert database.finds == [1]


async def test_a_shared_read_runs_in_no_request_context(poll_cache: PollCache, database: FakeDatabase) -> None:
    database.add_poll(1)
    request_id.set("first")

    await poll_cache.find(1)
    await poll_cache.latest(ListQuery())

    assert database.request_ids == {"none"}


async def test_a_cancelled_request_does_not_cancel_the_shared_read(
    poll_cache: PollCache, database: FakeDatabase
) -> None:
    database.add_poll(1)
    database.unblocked.clear()
    cancelled, other = (asyncio.create_task(poll_cache.find(1)) for _ in range(2))
    await run_ready_tasks()

    cancelled.cancel()
    await run_ready_tasks()
    database.unblocked.set()

    assert (await other).question.id == 1


@pytest.mark.parametrize("was_cached", [True, False])
async def test_a_poll_that_does_not_exist_is_not_found(
    poll_cache: PollCache, database: FakeDatabase, was_cached: bool
) -> None:
    if was_cached:
        database.add_poll(1)
        await poll_cache.find(1)
        del database.polls[1]
        await database.send(PollChanged(1))

    with pytest.raises(PollNotFound):
        await poll_cache.find(1)
    assert poll_cache.size == 0


async def test_counts_come_with_the_event_and_are_not_read(poll_cache: PollCache, database: FakeDatabase) -> None:
    database.add_poll(1)
    await poll_cache.find(1)

    await database.send(database.count(1, 3))

    assert await poll_cache.find(1) == database.polls[1]
    assert database.finds == [1]


async def test_a_poll_that_was_edited_is_read_again(poll_cache: PollCache, database: FakeDatabase) -> None:
    database.add_poll(1)
    await poll_cache.find(1)

    await database.send(database.edit(1))

    assert (await poll_cache.find(1)).question.text == "Coffee?"
    assert database.finds == [1, 1]


async def test_an_event_of_an_older_revision_changes_nothing(poll_cache: PollCache, database: FakeDatabase) -> None:
    database.add_poll(1)
    old = database.count(1)
    database.count(1)
    poll = await poll_cache.find(1)

    await database.send(old)

    assert await poll_cache.find(1) is poll


async def test_counts_that_do_not_fit_the_choices_are_ignored(poll_cache: PollCache, database: FakeDatabase) -> None:
    database.add_poll(1)
    await poll_cache.find(1)

    await database.send(PollChanged(1, 7, 0, 3, {10: 2, 11: 1}))

    assert (await poll_cache.find(1)).revision == 0
    assert database.finds == [1, 1]


async def test_counts_announced_during_a_read_are_applied(poll_cache: PollCache, database: FakeDatabase) -> None:
    database.add_poll(1)
    database.unblocked.clear()
    reader = asyncio.create_task(poll_cache.find(1))
    await run_ready_tasks()

    await database.send(database.count(1), database.count(1))
    database.unblocked.set()

    assert (await reader).ballots == 2
    assert await poll_cache.find(1) is await reader
    assert database.finds == [1]


async def test_a_poll_that_is_edited_during_a_read_is_read_again(poll_cache: PollCache, database: FakeDatabase) -> None:
    database.add_poll(1)
    database.unblocked.clear()
    reader = asyncio.create_task(poll_cache.find(1))
    await run_ready_tasks()

    await database.send(database.edit(1))
    database.unblocked.set()

    assert (await reader).question.text == "Coffee?"


async def test_a_poll_that_is_deleted_during_a_read_is_not_found(poll_cache: PollCache, database: FakeDatabase) -> None:
    database.add_poll(1)
    database.unblocked.clear()
    reader = asyncio.create_task(poll_cache.find(1))
    await run_ready_tasks()

    del database.polls[1]
    await database.send(PollChanged(1))
    database.unblocked.set()

    with pytest.raises(PollNotFound):
        await reader


async def test_the_least_recently_used_poll_is_evicted_first(poll_cache: PollCache, database: FakeDatabase) -> None:
    for number in range(1, MAX_POLLS + 2):
        database.add_poll(number)
    for number in (*range(1, MAX_POLLS + 1), 1, MAX_POLLS + 1):
        await poll_cache.find(number)
    before = len(database.finds)

    await poll_cache.find(1)
    assert len(database.finds) == before
    await poll_cache.find(2)
    assert len(database.finds) == before + 1


async def test_a_watched_poll_is_not_evicted(
    poll_cache: PollCache, broadcaster: Broadcaster, database: FakeDatabase
) -> None:
    for number in range(1, 3 * MAX_POLLS):
        database.add_poll(number)
    await broadcaster.subscribe(await poll_cache.find(1), subscriber := FakeSubscriber())
    for number in range(2, 3 * MAX_POLLS):
        await poll_cache.find(number)

    await database.send(database.count(1))

    assert subscriber.messages == ["0", "1"]


async def test_every_request_reads_while_the_listener_is_lost(poll_cache: PollCache, database: FakeDatabase) -> None:
    database.add_poll(1)
    await poll_cache.find(1)

    await database.send(ListenerLost())
    database.count(1)

    assert not poll_cache.is_synced
    assert (await poll_cache.find(1)).ballots == 1
    database.count(1)
    assert (await poll_cache.find(1)).ballots == 2
    assert [(await poll_cache.latest(ListQuery())).count for _ in range(2)] == [1, 1]
    assert database.lists == 2


async def test_polls_are_read_again_and_cached_after_the_listener_reconnects(
    poll_cache: PollCache, database: FakeDatabase
) -> None:
    database.add_poll(1)
    await poll_cache.find(1)
    await database.send(ListenerLost())
    database.count(1)

    await database.send(CacheInvalidated())

    assert (await poll_cache.find(1)).ballots == 1
    assert await poll_cache.find(1) is await poll_cache.find(1)
    assert database.finds == [1, 1]


async def test_watchers_get_what_changed_while_the_listener_was_lost(
    poll_cache: PollCache, broadcaster: Broadcaster, database: FakeDatabase
) -> None:
    database.add_poll(1)
    await broadcaster.subscribe(await poll_cache.find(1), subscriber := FakeSubscriber())
    await database.send(ListenerLost())
    database.count(1)

    await database.send(CacheInvalidated())
    await asyncio.sleep(0.05)

    assert subscriber.messages == ["0", "0 stale", "1"]


async def test_a_poll_is_live_again_when_it_has_been_read_although_it_is_unchanged(
    poll_cache: PollCache, database: FakeDatabase
) -> None:
    database.add_poll(1)
    await poll_cache.subscribe(1, subscriber := FakeSubscriber())

    await database.send(ListenerLost())
    await poll_cache.find(1)
    await poll_cache.subscribe(1, late := FakeSubscriber())
    await database.send(CacheInvalidated())
    await asyncio.sleep(0.05)

    assert subscriber.messages == ["0", "0 stale", "0"]
    assert late.messages == ["0 stale", "0"]


@pytest.mark.parametrize("intervals", [{"retry_interval": 0.01}])
async def test_a_watched_poll_is_read_again_until_that_succeeds(
    poll_cache: PollCache, broadcaster: Broadcaster, database: FakeDatabase
) -> None:
    database.add_poll(1)
    await broadcaster.subscribe(await poll_cache.find(1), subscriber := FakeSubscriber())
    database.is_unreachable = True
    database.count(1)
    await database.send(CacheInvalidated())

    database.is_unreachable = False
    await asyncio.sleep(0.1)

    assert subscriber.messages == ["0", "0 stale", "1"]


async def test_deleting_a_poll_closes_its_watchers_connections(
    poll_cache: PollCache, broadcaster: Broadcaster, database: FakeDatabase
) -> None:
    for number in (1, 2):
        database.add_poll(number)
    announced, unannounced = FakeSubscriber(), FakeSubscriber()
    await broadcaster.subscribe(await poll_cache.find(1), announced)
    await broadcaster.subscribe(await poll_cache.find(2), unannounced)

    database.polls.clear()
    await database.send(PollChanged(1))
    await database.send(ListenerLost(), CacheInvalidated())

    codes = [subscriber.closed and subscriber.closed[0] for subscriber in (announced, unannounced)]
    assert codes == [NORMAL_CLOSURE, NORMAL_CLOSURE]


async def test_a_lower_revision_is_accepted_only_in_a_new_generation(
    poll_cache: PollCache, broadcaster: Broadcaster, database: FakeDatabase
) -> None:
    """The database was restored, or a standby was promoted."""
    database.add_poll(1)
    earlier = database.polls[1]
    database.count(1)
    await broadcaster.subscribe(await poll_cache.find(1), subscriber := FakeSubscriber())
    database.polls[1] = earlier
    await database.send(PollChanged(1, 2, 1))
    assert (await poll_cache.find(1)).revision == 1

    await database.send(ListenerLost(), CacheInvalidated())

    assert (await poll_cache.find(1)).revision == 0
    assert subscriber.messages == ["1", "1 stale"]
    assert subscriber.closed
    assert subscriber.closed[0] == SERVICE_RESTART


async def test_watchers_reconnect_when_a_promoted_standby_has_the_same_revision_with_other_votes(
    poll_cache: PollCache, broadcaster: Broadcaster, database: FakeDatabase
) -> None:
    database.add_poll(1)
    earlier = database.polls[1]
    database.count(1, 3)
    await broadcaster.subscribe(await poll_cache.find(1), subscriber := FakeSubscriber())
    await database.send(ListenerLost(), CacheInvalidated())
    assert not subscriber.closed
    database.polls[1] = earlier
    database.count(1, 2)

    await database.send(ListenerLost(), CacheInvalidated())

    assert (await poll_cache.find(1)).ballots == 2
    assert subscriber.closed
    assert subscriber.closed[0] == SERVICE_RESTART


async def test_a_request_for_a_coming_revision_waits_for_its_event(
    poll_cache: PollCache, database: FakeDatabase
) -> None:
    database.add_poll(1)
    await poll_cache.find(1)
    event = database.count(1)

    reader = asyncio.create_task(poll_cache.find(1, after=1))
    await run_ready_tasks()
    assert not reader.done()
    await database.send(event)

    assert (await reader).revision == 1
    assert database.finds == [1]


async def test_a_revision_whose_event_does_not_come_in_time_is_read(
    poll_cache: PollCache, database: FakeDatabase
) -> None:
    database.add_poll(1)
    await poll_cache.find(1)
    database.count(1)

    assert (await poll_cache.find(1, after=1)).revision == 1
    assert database.finds == [1, 1]


@pytest.mark.parametrize("intervals", [{"revision_timeout": 0.01, "recheck_interval": 0.3}])
async def test_made_up_revisions_cost_one_read_per_interval(poll_cache: PollCache, database: FakeDatabase) -> None:
    database.add_poll(1)
    await poll_cache.find(1)
    loop = asyncio.get_running_loop()
    started = loop.time()

    for _ in range(3):
        polls = await asyncio.gather(*(poll_cache.find(1, after=10**17) for _ in range(50)))
        assert {poll.revision for poll in polls} == {0}

    rechecks = len(database.finds) - 1
    assert 3 <= rechecks <= 1 + (loop.time() - started) / 0.3


@pytest.mark.parametrize("intervals", [{"revision_timeout": 0.01, "recheck_interval": 0.2}])
async def test_made_up_revisions_do_not_keep_a_voter_from_seeing_the_vote(
    poll_cache: PollCache, database: FakeDatabase
) -> None:
    database.add_poll(1)
    await poll_cache.find(1, after=10**17)
    made_up = asyncio.create_task(poll_cache.find(1, after=10**17))
    database.count(1)

    assert (await poll_cache.find(1, after=1)).revision == 1
    await made_up


@pytest.mark.parametrize("state", ["published", "closed"])
async def test_a_poll_is_published_and_closed_by_time(
    poll_cache: PollCache, broadcaster: Broadcaster, database: FakeDatabase, state: str
) -> None:
    soon = timedelta(seconds=0.2)
    database.add_poll(1, **{state: soon})
    poll = await poll_cache.find(1)
    subscriber = FakeSubscriber()
    if poll.is_published:
        await broadcaster.subscribe(poll, subscriber)
    assert (poll.is_published, poll.is_closed) == (state == "closed", False)

    await asyncio.sleep(0.3)

    later = await poll_cache.find(1)
    assert (later.is_published, later.is_closed) == (True, state == "closed")
    assert subscriber.messages == (["0", "0"] if state == "closed" else [])
    assert database.finds == [1]


async def test_a_jump_of_the_clock_reschedules_the_end(
    poll_cache: PollCache, database: FakeDatabase, now: datetime
) -> None:
    database.add_poll(1, closed=timedelta(hours=1))
    await poll_cache.find(1)

    await database.send(ClockSync(now + timedelta(hours=1)))
    await asyncio.sleep(0.05)

    assert (await poll_cache.find(1)).is_closed


@pytest.mark.parametrize("leap", [timedelta(days=1), timedelta(days=-1)])
@pytest.mark.parametrize("seen", [True, False])
async def test_after_a_leap_of_the_clock_and_back_everything_is_as_before(
    poll_cache: PollCache, broadcaster: Broadcaster, database: FakeDatabase, now: datetime, leap: timedelta, seen: bool
) -> None:
    """`seen`: whether a heartbeat falls into the leap."""
    database.add_poll(1, closed=timedelta(hours=1))
    database.add_poll(2, published=timedelta(hours=1))
    database.add_poll(3)
    subscriber = FakeSubscriber()
    await broadcaster.subscribe(await poll_cache.find(1), subscriber)
    before = [await poll_cache.find(1), await poll_cache.find(2)]

    def set_clock(moment: datetime) -> None:
        for id_, poll in database.polls.items():
            database.polls[id_] = replace(poll, as_of=moment)

    set_clock(now + leap)
    if seen:
        await database.send(ClockSync(now + leap))
    polls = [await poll_cache.find(1), await poll_cache.find(2), await poll_cache.find(3)]
    if seen:
        assert (polls[0].is_closed, polls[1].is_published) == (leap > timedelta(0), leap > timedelta(0))
    await asyncio.sleep(0.03)
    set_clock(now)
    await database.send(ClockSync(now))
    await asyncio.sleep(0.03)

    after = [await poll_cache.find(1), await poll_cache.find(2)]
    assert [(poll.is_published, poll.is_closed) for poll in after] == [
        (poll.is_published, poll.is_closed) for poll in before
    ]
    assert (await poll_cache.find(3)).is_published
    if leap > timedelta(0):
        assert len(subscriber.messages) == (3 if seen else 1)  # open, closed, open again


async def test_an_end_that_was_removed_does_not_close_the_poll(poll_cache: PollCache, database: FakeDatabase) -> None:
    database.add_poll(1, closed=timedelta(seconds=0.1))
    await poll_cache.find(1)
    poll = database.polls[1]
    database.polls[1] = replace(poll, question=replace(poll.question, closes_at=None))

    await database.send(database.edit(1))
    await poll_cache.find(1)
    await asyncio.sleep(0.2)

    assert not (await poll_cache.find(1)).is_closed


async def test_a_list_is_read_once_until_a_poll_is_edited(poll_cache: PollCache, database: FakeDatabase) -> None:
    database.add_poll(1)
    first = await poll_cache.latest(ListQuery())
    await database.send(database.count(1))
    assert await poll_cache.latest(ListQuery()) is first
    assert database.lists == 1

    await database.send(database.edit(1))

    assert [poll.question.text for poll in (await poll_cache.latest(ListQuery())).polls] == ["Coffee?"]


async def test_a_list_read_while_a_poll_was_edited_is_not_cached(poll_cache: PollCache, database: FakeDatabase) -> None:
    database.add_poll(1)
    database.unblocked.clear()
    reader = asyncio.create_task(poll_cache.latest(ListQuery()))
    await run_ready_tasks()
    await database.send(database.edit(1))
    database.unblocked.set()
    await reader

    assert [poll.question.text for poll in (await poll_cache.latest(ListQuery())).polls] == ["Coffee?"]


@pytest.mark.parametrize("transition", ["published", "closed"])
async def test_a_list_is_read_again_when_a_poll_is_published_or_closed_by_time(
    poll_cache: PollCache, database: FakeDatabase, transition: str
) -> None:
    database.add_poll(1, **{transition: timedelta(seconds=0.1)})
    await poll_cache.latest(ListQuery())
    await poll_cache.latest(ListQuery())
    assert database.lists == 1

    await asyncio.sleep(0.2)
    await poll_cache.latest(ListQuery())

    assert database.lists == 2


async def test_a_failed_read_raises_and_is_not_cached(poll_cache: PollCache, database: FakeDatabase) -> None:
    database.add_poll(1)
    database.is_unreachable = True
    with pytest.raises(PollsUnavailable):
        await poll_cache.find(1)
    with pytest.raises(PollsUnavailable):
        await poll_cache.latest(ListQuery())
    assert poll_cache.last_known(1) is None

    database.is_unreachable = False

    assert (await poll_cache.find(1)).question.id == 1
    assert (await poll_cache.latest(ListQuery())).count == 1


async def test_the_last_known_state_of_a_poll_outlives_failed_reads(
    poll_cache: PollCache, database: FakeDatabase
) -> None:
    database.add_poll(1)
    poll = await poll_cache.find(1)
    database.is_unreachable = True
    await database.send(ListenerLost())

    with pytest.raises(PollsUnavailable):
        await poll_cache.find(1)

    assert poll_cache.last_known(1) is poll


async def test_a_poll_that_changes_during_every_read_is_returned_but_not_fresh(
    poll_cache: PollCache, database: FakeDatabase
) -> None:
    database.add_poll(1)

    async def edit(question_id: int) -> None:
        await database.send(database.edit(question_id))

    database.after_read = edit

    assert (await poll_cache.find(1)).question.id == 1
    before = len(database.finds)
    await poll_cache.find(1)
    assert len(database.finds) > before


@pytest.mark.parametrize("intervals", [{"revision_timeout": 0.01, "retry_interval": 0.01}])
async def test_watchers_get_changes_after_a_failed_read(poll_cache: PollCache, database: FakeDatabase) -> None:
    """A request for a made-up revision reads while the database is unreachable."""
    database.add_poll(1)
    await poll_cache.subscribe(1, subscriber := FakeSubscriber())
    database.is_unreachable = True
    with pytest.raises(PollsUnavailable):
        await poll_cache.find(1, after=10**17)
    database.is_unreachable = False

    await database.send(database.count(1))
    await asyncio.sleep(0.1)

    assert subscriber.messages == ["0", "0 stale", "1"]


@pytest.mark.parametrize("intervals", [{"revision_timeout": 0.01, "retry_interval": 0.01}])
async def test_watchers_get_counts_announced_during_a_failed_read(
    poll_cache: PollCache, database: FakeDatabase
) -> None:
    database.add_poll(1)
    await poll_cache.subscribe(1, subscriber := FakeSubscriber())
    database.unblocked.clear()
    database.is_unreachable = True
    reader = asyncio.create_task(poll_cache.find(1, after=10**17))
    while len(database.finds) < 2:
        await asyncio.sleep(0.01)
    await database.send(database.count(1))
    database.unblocked.set()
    with pytest.raises(PollsUnavailable):
        await reader

    database.is_unreachable = False
    await asyncio.sleep(0.1)

    assert subscriber.messages == ["0", "0 stale", "1"]


async def test_an_edit_already_read_is_not_read_again(poll_cache: PollCache, database: FakeDatabase) -> None:
    database.add_poll(1)
    event = database.edit(1)
    poll = await poll_cache.find(1)

    await database.send(event)

    assert await poll_cache.find(1) is poll


async def test_polls_without_watchers_are_evicted_again(
    poll_cache: PollCache, broadcaster: Broadcaster, database: FakeDatabase
) -> None:
    for number in range(1, 3 * MAX_POLLS + 2):
        database.add_poll(number)
    subscribers = {number: FakeSubscriber() for number in range(1, 3 * MAX_POLLS)}
    for number, subscriber in subscribers.items():
        await poll_cache.subscribe(number, subscriber)
    assert poll_cache.size > 2 * MAX_POLLS

    for number, subscriber in subscribers.items():
        broadcaster.unsubscribe(number, subscriber)
    await poll_cache.find(3 * MAX_POLLS + 1)

    assert poll_cache.size == MAX_POLLS


@pytest.mark.parametrize("change", [FakeDatabase.count, FakeDatabase.edit])
async def test_a_change_between_read_and_subscription_is_sent(
    poll_cache: PollCache, database: FakeDatabase, change: Callable[[FakeDatabase, int], PollChanged]
) -> None:
    """The event is applied when the read is done, but before the task that waits for it has subscribed."""
    database.add_poll(1)
    subscriber = FakeSubscriber()

    async def announce(question_id: int) -> None:
        database.after_read = None
        database.events.put_nowait(change(database, question_id))

    database.after_read = announce

    await poll_cache.subscribe(1, subscriber)
    await run_ready_tasks()

    assert subscriber.messages[-1] == "1"


async def test_changes_of_a_poll_evicted_before_it_was_watched_are_sent(
    poll_cache: PollCache, broadcaster: Broadcaster, database: FakeDatabase
) -> None:
    database.add_poll(1)
    poll = await poll_cache.find(1)
    for number in range(2, MAX_POLLS + 2):
        database.add_poll(number)
        await poll_cache.find(number)
    assert poll_cache.last_known(1) is None
    await broadcaster.subscribe(poll, subscriber := FakeSubscriber())

    await database.send(database.count(1))

    assert subscriber.messages == ["0", "1"]


async def test_a_list_is_read_again_for_a_poll_scheduled_before_the_next_one(
    poll_cache: PollCache, database: FakeDatabase
) -> None:
    """It was scheduled while the list was being read with the other poll as the next publication."""
    database.add_poll(1, published=timedelta(hours=1))
    database.unblocked.clear()
    slow = asyncio.create_task(poll_cache.latest(ListQuery()))
    await run_ready_tasks()
    database.add_poll(2, published=timedelta(seconds=0.1))
    await database.send(PollChanged(2, 0, 0))
    database.unblocked.set()
    await slow
    await poll_cache.latest(ListQuery())
    before = database.lists

    await asyncio.sleep(0.2)
    await poll_cache.latest(ListQuery())

    assert database.lists == before + 1


async def test_events_that_can_not_be_applied_disable_the_cache(
    poll_cache: PollCache, database: FakeDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    await database.send("nonsense", PollChanged(1, "x"))  # type: ignore[arg-type]
    database.add_poll(1)
    await poll_cache.find(1)
    await database.send(PollChanged(1, "x", 0, 1, {}))  # type: ignore[arg-type]

    assert not poll_cache.is_synced
    assert "following the database's events failed" in caplog.text


@pytest.mark.parametrize("intervals", [{"retry_interval": 0.01}])
async def test_an_error_in_one_read_does_not_keep_other_watched_polls_from_being_read(
    poll_cache: PollCache, database: FakeDatabase
) -> None:
    for number in (1, 2):
        database.add_poll(number)
    await poll_cache.subscribe(1, FakeSubscriber())
    await poll_cache.subscribe(2, subscriber := FakeSubscriber())

    async def fail(question_id: int) -> None:
        if question_id == 1:
            raise ZeroDivisionError

    database.after_read = fail
    await database.send(database.edit(1), database.edit(2))
    await asyncio.sleep(0.1)

    assert subscriber.messages == ["0", "1"]


async def test_a_slow_answer_is_no_jump_of_the_clock(
    poll_cache: PollCache, database: FakeDatabase, clock: CountingClock, now: datetime
) -> None:
    database.add_poll(1, closed=timedelta(hours=1))
    await poll_cache.find(1)
    assert clock.timers == 1

    await database.send(ClockSync(now - timedelta(seconds=1), 1.5))

    assert clock.timers == 1
    assert abs(clock.now() - now) < timedelta(seconds=1)
