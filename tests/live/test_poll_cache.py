"""Polls in memory, over a fake database that a test edits, holds up and breaks, and news that it tells or doesn't."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextvars import ContextVar
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from polls.domain.errors import PollNotFound, PollsUnavailable
from polls.domain.events import CacheInvalidated, ClockSync, Event, ListenerLost, PollChanged
from polls.domain.poll import Choice, Poll, Question
from polls.live import poll_cache as live
from polls.live.broadcast import DONE, RESTORED, Broadcaster
from polls.live.poll_cache import PollCache
from tests.live.test_broadcast import Screen

MOST = 5

ASKER = ContextVar("asker", default="nobody")


class Database:
    """Has polls, tells what changes when it is asked to, and can be held up."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.polls: dict[int, Poll] = {}
        self.news: asyncio.Queue[Event] = asyncio.Queue()
        self.finds: list[int] = []
        self.lists = 0
        self.askers: set[str] = set()
        self.open = asyncio.Event()
        self.open.set()
        self.is_away = False

    def ask(self, question_id: int, *, published: timedelta = timedelta(0), closed: timedelta | None = None) -> None:
        question = Question(question_id, "Tea?", self.now + published, closed and self.now + closed)
        self.polls[question_id] = Poll(question, (Choice(10 * question_id, "Yes"),), self.now)

    def count(self, question_id: int, votes: int = 1) -> PollChanged:
        """Count votes, and return the notice of it."""
        poll = self.polls[question_id]
        votes += poll.ballots
        poll = self.polls[question_id] = poll.counted(poll.revision + 1, votes, {10 * question_id: votes})
        return PollChanged(question_id, poll.revision, poll.edition, votes, {10 * question_id: votes})

    def edit(self, question_id: int, text: str = "Coffee?") -> PollChanged:
        poll = self.polls[question_id]
        question = replace(poll.question, text=text)
        poll = replace(poll, question=question, revision=poll.revision + 1, edition=poll.edition + 1)
        self.polls[question_id] = poll
        return PollChanged(question_id, poll.revision, poll.edition)

    async def tell(self, *news: Event) -> None:
        for piece in news:
            self.news.put_nowait(piece)
        await a_moment()

    async def find(self, question_id: int) -> Poll | None:
        self.finds.append(question_id)
        self.askers.add(ASKER.get())
        found = self.polls.get(question_id)
        await self.open.wait()
        if self.is_away:
            raise PollsUnavailable
        return found

    async def latest(self, *, skip: int, limit: int) -> Sequence[Question]:
        self.lists += 1
        self.askers.add(ASKER.get())
        found = [poll.question for poll in self.polls.values()]
        await self.open.wait()
        if self.is_away:
            raise PollsUnavailable
        return found[skip : skip + limit]

    async def next_publication(self) -> datetime | None:
        return min((poll.question.pub_date for poll in self.polls.values() if not poll.is_published), default=None)

    async def listen(self) -> AsyncGenerator[Event, None]:
        while True:
            yield await self.news.get()


@pytest.fixture
def database(now: datetime) -> Database:
    return Database(now)


@pytest.fixture
def audience() -> Broadcaster:
    return Broadcaster(lambda poll: str(poll.revision).encode(), pause=0.01)


@pytest.fixture
async def poll_cache(database: Database, audience: Broadcaster, now: datetime) -> AsyncIterator[PollCache]:
    poll_cache = PollCache(database.find, database.latest, database.next_publication, audience, most=MOST)
    poll_cache.open(database.listen())
    await database.tell(ClockSync(now), CacheInvalidated())
    yield poll_cache
    database.open.set()
    await poll_cache.close()


async def a_moment() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


async def test_a_poll_is_read_once_and_then_remembered(poll_cache: PollCache, database: Database) -> None:
    database.ask(1)

    assert await poll_cache.find(1) is await poll_cache.find(1)
    assert database.finds == [1]


async def test_many_who_want_a_poll_at_once_wait_for_one_reading(poll_cache: PollCache, database: Database) -> None:
    database.ask(1)
    database.open.clear()

    readers = [asyncio.create_task(poll_cache.find(1)) for _ in range(100)]
    await a_moment()
    database.open.set()

    assert len({id(poll) for poll in await asyncio.gather(*readers)}) == 1
    assert database.finds == [1]


async def test_what_is_read_for_all_is_not_read_in_the_name_of_who_asked_first(
    poll_cache: PollCache, database: Database
) -> None:
    database.ask(1)
    ASKER.set("somebody")

    await poll_cache.find(1)
    await poll_cache.latest(skip=0, limit=5)

    assert database.askers == {"nobody"}


async def test_a_reader_who_goes_away_takes_nothing_from_the_others(poll_cache: PollCache, database: Database) -> None:
    database.ask(1)
    database.open.clear()
    impatient, patient = (asyncio.create_task(poll_cache.find(1)) for _ in range(2))
    await a_moment()

    impatient.cancel()
    await a_moment()
    database.open.set()

    assert (await patient).question.id == 1


@pytest.mark.parametrize("is_known", [True, False])
async def test_what_is_not_there_is_not_found(poll_cache: PollCache, database: Database, is_known: bool) -> None:
    if is_known:
        database.ask(1)
        await poll_cache.find(1)
        del database.polls[1]
        await database.tell(PollChanged(1))

    with pytest.raises(PollNotFound):
        await poll_cache.find(1)
    assert len(poll_cache._polls) == 0


async def test_counts_are_told_and_not_read(poll_cache: PollCache, database: Database) -> None:
    database.ask(1)
    await poll_cache.find(1)

    await database.tell(database.count(1, 3))

    assert await poll_cache.find(1) == database.polls[1]
    assert database.finds == [1]


async def test_a_poll_that_was_edited_is_read_again(poll_cache: PollCache, database: Database) -> None:
    database.ask(1)
    await poll_cache.find(1)

    await database.tell(database.edit(1))

    assert (await poll_cache.find(1)).question.text == "Coffee?"
    assert database.finds == [1, 1]


async def test_an_older_notice_changes_nothing(poll_cache: PollCache, database: Database) -> None:
    database.ask(1)
    old = database.count(1)
    database.count(1)
    poll = await poll_cache.find(1)

    await database.tell(old)

    assert await poll_cache.find(1) is poll


async def test_counts_that_do_not_fit_the_choices_are_not_believed(poll_cache: PollCache, database: Database) -> None:
    database.ask(1)
    await poll_cache.find(1)

    await database.tell(PollChanged(1, 7, 0, 3, {10: 2, 11: 1}))

    assert (await poll_cache.find(1)).revision == 0
    assert database.finds == [1, 1]


async def test_what_is_counted_while_a_poll_is_read_is_not_missed(poll_cache: PollCache, database: Database) -> None:
    database.ask(1)
    database.open.clear()
    reader = asyncio.create_task(poll_cache.find(1))
    await a_moment()

    await database.tell(database.count(1), database.count(1))
    database.open.set()

    assert (await reader).ballots == 2
    assert await poll_cache.find(1) is await reader
    assert database.finds == [1]


async def test_a_poll_that_is_edited_while_it_is_read_is_read_again(poll_cache: PollCache, database: Database) -> None:
    database.ask(1)
    database.open.clear()
    reader = asyncio.create_task(poll_cache.find(1))
    await a_moment()

    await database.tell(database.edit(1))
    database.open.set()

    assert (await reader).question.text == "Coffee?"


async def test_a_poll_that_is_deleted_while_it_is_read_is_not_found(poll_cache: PollCache, database: Database) -> None:
    database.ask(1)
    database.open.clear()
    reader = asyncio.create_task(poll_cache.find(1))
    await a_moment()

    del database.polls[1]
    await database.tell(PollChanged(1))
    database.open.set()

    with pytest.raises(PollNotFound):
        await reader


async def test_the_poll_that_was_asked_for_longest_ago_is_forgotten_first(
    poll_cache: PollCache, database: Database
) -> None:
    for number in range(1, MOST + 2):
        database.ask(number)
    for number in (*range(1, MOST + 1), 1, MOST + 1):
        await poll_cache.find(number)
    before = len(database.finds)

    await poll_cache.find(1)
    assert len(database.finds) == before
    await poll_cache.find(2)
    assert len(database.finds) == before + 1


async def test_a_poll_that_is_watched_is_not_forgotten(
    poll_cache: PollCache, audience: Broadcaster, database: Database
) -> None:
    for number in range(1, 3 * MOST):
        database.ask(number)
    await audience.join(await poll_cache.find(1), screen := Screen())
    for number in range(2, 3 * MOST):
        await poll_cache.find(number)

    await database.tell(database.count(1))

    assert screen.messages == ["0", "1"]


async def test_while_nothing_is_told_each_request_reads(poll_cache: PollCache, database: Database) -> None:
    database.ask(1)
    await poll_cache.find(1)

    await database.tell(ListenerLost())
    database.count(1)

    assert not poll_cache.is_synced
    assert (await poll_cache.find(1)).ballots == 1
    database.count(1)
    assert (await poll_cache.find(1)).ballots == 2
    assert [len(await poll_cache.latest(skip=0, limit=5)) for _ in range(2)] == [1, 1]
    assert database.lists == 2


async def test_when_news_come_again_everything_is_read_anew_and_then_remembered(
    poll_cache: PollCache, database: Database
) -> None:
    database.ask(1)
    await poll_cache.find(1)
    await database.tell(ListenerLost())
    database.count(1)

    await database.tell(CacheInvalidated())

    assert (await poll_cache.find(1)).ballots == 1
    assert await poll_cache.find(1) is await poll_cache.find(1)
    assert database.finds == [1, 1]


async def test_whoever_watches_is_told_what_changed_in_the_silence(
    poll_cache: PollCache, audience: Broadcaster, database: Database
) -> None:
    database.ask(1)
    await audience.join(await poll_cache.find(1), screen := Screen())
    await database.tell(ListenerLost())
    database.count(1)

    await database.tell(CacheInvalidated())

    assert screen.messages == ["0", "1"]


async def test_a_poll_that_is_watched_is_read_until_it_can_be(
    poll_cache: PollCache, audience: Broadcaster, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_RETRY", 0.01)
    database.ask(1)
    await audience.join(await poll_cache.find(1), screen := Screen())
    database.is_away = True
    database.count(1)
    await database.tell(CacheInvalidated())

    database.is_away = False
    await asyncio.sleep(0.1)

    assert screen.messages == ["0", "1"]


async def test_whoever_watches_a_poll_that_is_deleted_is_sent_away(
    poll_cache: PollCache, audience: Broadcaster, database: Database
) -> None:
    for number in (1, 2):
        database.ask(number)
    told, missed = Screen(), Screen()
    await audience.join(await poll_cache.find(1), told)
    await audience.join(await poll_cache.find(2), missed)

    database.polls.clear()
    await database.tell(PollChanged(1))
    await database.tell(ListenerLost(), CacheInvalidated())

    assert [screen.dismissed and screen.dismissed[0] for screen in (told, missed)] == [DONE, DONE]


async def test_a_lower_revision_is_believed_only_when_news_have_begun_anew(
    poll_cache: PollCache, audience: Broadcaster, database: Database
) -> None:
    """The database was restored, or another one has taken its place."""
    database.ask(1)
    past = database.polls[1]
    database.count(1)
    await audience.join(await poll_cache.find(1), screen := Screen())
    database.polls[1] = past
    poll_cache._polls[1].invalidate()
    assert (await poll_cache.find(1)).revision == 1

    await database.tell(ListenerLost(), CacheInvalidated())

    assert (await poll_cache.find(1)).revision == 0
    assert screen.messages == ["1"]
    assert screen.dismissed
    assert screen.dismissed[0] == RESTORED


async def test_who_watches_comes_again_when_another_database_has_come_to_the_same_revision_in_its_own_way(
    poll_cache: PollCache, audience: Broadcaster, database: Database
) -> None:
    database.ask(1)
    past = database.polls[1]
    database.count(1, 3)
    await audience.join(await poll_cache.find(1), screen := Screen())
    await database.tell(ListenerLost(), CacheInvalidated())
    assert not screen.dismissed
    database.polls[1] = past
    database.count(1, 2)

    await database.tell(ListenerLost(), CacheInvalidated())

    assert (await poll_cache.find(1)).ballots == 2
    assert screen.dismissed
    assert screen.dismissed[0] == RESTORED


async def test_who_was_promised_a_revision_waits_for_it(poll_cache: PollCache, database: Database) -> None:
    database.ask(1)
    await poll_cache.find(1)
    notice = database.count(1)

    reader = asyncio.create_task(poll_cache.find(1, after=1))
    await a_moment()
    assert not reader.done()
    await database.tell(notice)

    assert (await reader).revision == 1
    assert database.finds == [1]


async def test_a_revision_that_is_not_told_in_time_is_read(poll_cache: PollCache, database: Database) -> None:
    database.ask(1)
    await poll_cache.find(1)
    database.count(1)

    assert (await poll_cache.find(1, after=1)).revision == 1
    assert database.finds == [1, 1]


async def test_a_made_up_revision_costs_one_question_a_second(
    poll_cache: PollCache, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "BRIEFLY", 0.01)
    monkeypatch.setattr(live, "QUESTION_PAUSE", 0.3)
    database.ask(1)
    await poll_cache.find(1)
    loop = asyncio.get_running_loop()
    begun = loop.time()

    for _ in range(3):
        polls = await asyncio.gather(*(poll_cache.find(1, after=10**17) for _ in range(50)))
        assert {poll.revision for poll in polls} == {0}

    questions = len(database.finds) - 1
    assert 3 <= questions <= 1 + (loop.time() - begun) / 0.3


async def test_who_votes_while_made_up_revisions_are_asked_for_sees_the_vote(
    poll_cache: PollCache, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "BRIEFLY", 0.01)
    monkeypatch.setattr(live, "QUESTION_PAUSE", 0.2)
    database.ask(1)
    await poll_cache.find(1, after=10**17)
    made_up = asyncio.create_task(poll_cache.find(1, after=10**17))
    database.count(1)

    assert (await poll_cache.find(1, after=1)).revision == 1
    await made_up


@pytest.mark.parametrize("state", ["published", "closed"])
async def test_time_changes_polls_too(
    poll_cache: PollCache, audience: Broadcaster, database: Database, state: str
) -> None:
    soon = timedelta(seconds=0.2)
    database.ask(1, **{state: soon})  # type: ignore[arg-type]
    poll = await poll_cache.find(1)
    screen = Screen()
    if poll.is_published:
        await audience.join(poll, screen)
    assert (poll.is_published, poll.is_closed) == (state == "closed", False)

    await asyncio.sleep(0.3)

    later = await poll_cache.find(1)
    assert (later.is_published, later.is_closed) == (True, state == "closed")
    assert screen.messages == (["0", "0"] if state == "closed" else [])
    assert database.finds == [1]


async def test_a_clock_that_is_set_moves_the_moment(poll_cache: PollCache, database: Database, now: datetime) -> None:
    database.ask(1, closed=timedelta(hours=1))
    await poll_cache.find(1)

    await database.tell(ClockSync(now + timedelta(hours=1)))
    await asyncio.sleep(0.05)

    assert (await poll_cache.find(1)).is_closed


async def test_a_moment_that_was_put_off_is_not_the_moment(poll_cache: PollCache, database: Database) -> None:
    database.ask(1, closed=timedelta(seconds=0.1))
    await poll_cache.find(1)
    poll = database.polls[1]
    database.polls[1] = replace(poll, question=replace(poll.question, closes_at=None))

    await database.tell(database.edit(1))
    await poll_cache.find(1)
    await asyncio.sleep(0.2)

    assert not (await poll_cache.find(1)).is_closed


async def test_a_list_is_read_once_until_a_poll_is_edited(poll_cache: PollCache, database: Database) -> None:
    database.ask(1)
    first = await poll_cache.latest(skip=0, limit=5)
    await database.tell(database.count(1))
    assert await poll_cache.latest(skip=0, limit=5) is first
    assert database.lists == 1

    await database.tell(database.edit(1))

    assert [question.text for question in await poll_cache.latest(skip=0, limit=5)] == ["Coffee?"]


async def test_a_list_that_was_read_while_a_poll_was_edited_is_not_remembered(
    poll_cache: PollCache, database: Database
) -> None:
    database.ask(1)
    database.open.clear()
    reader = asyncio.create_task(poll_cache.latest(skip=0, limit=5))
    await a_moment()
    await database.tell(database.edit(1))
    database.open.set()
    await reader

    assert [question.text for question in await poll_cache.latest(skip=0, limit=5)] == ["Coffee?"]


async def test_a_list_is_read_anew_when_a_scheduled_poll_is_published(
    poll_cache: PollCache, database: Database
) -> None:
    database.ask(1, published=timedelta(seconds=0.1))
    await poll_cache.latest(skip=0, limit=5)
    await poll_cache.latest(skip=0, limit=5)
    assert database.lists == 1

    await asyncio.sleep(0.2)
    await poll_cache.latest(skip=0, limit=5)

    assert database.lists == 2


async def test_a_fault_is_told_to_who_asked_and_not_remembered(poll_cache: PollCache, database: Database) -> None:
    database.ask(1)
    database.is_away = True
    with pytest.raises(PollsUnavailable):
        await poll_cache.find(1)
    with pytest.raises(PollsUnavailable):
        await poll_cache.latest(skip=0, limit=5)
    assert poll_cache.last_known(1) is None

    database.is_away = False

    assert (await poll_cache.find(1)).question.id == 1
    assert len(await poll_cache.latest(skip=0, limit=5)) == 1


async def test_a_poll_that_can_not_be_read_is_remembered_as_it_was(poll_cache: PollCache, database: Database) -> None:
    database.ask(1)
    poll = await poll_cache.find(1)
    database.is_away = True
    await database.tell(ListenerLost())

    with pytest.raises(PollsUnavailable):
        await poll_cache.find(1)

    assert poll_cache.last_known(1) is poll


async def test_a_poll_that_is_edited_all_the_time_is_answered_all_the_same(
    poll_cache: PollCache, database: Database
) -> None:
    database.ask(1)
    find = poll_cache._find

    async def edited_meanwhile(question_id: int) -> Poll | None:
        found = await find(question_id)
        await database.tell(database.edit(1))
        return found

    poll_cache._find = edited_meanwhile

    assert (await poll_cache.find(1)).question.id == 1
    assert not poll_cache._polls[1].is_fresh


async def test_whoever_watches_is_told_after_a_reading_that_failed(
    poll_cache: PollCache, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody asks for a revision that was made up, and the database is away just then."""
    monkeypatch.setattr(live, "BRIEFLY", 0.01)
    monkeypatch.setattr(live, "_RETRY", 0.01)
    database.ask(1)
    await poll_cache.watch(1, screen := Screen())
    database.is_away = True
    with pytest.raises(PollsUnavailable):
        await poll_cache.find(1, after=10**17)
    database.is_away = False

    await database.tell(database.count(1))
    await asyncio.sleep(0.1)

    assert screen.messages == ["0", "1"]


async def test_what_is_counted_while_a_reading_fails_is_told(
    poll_cache: PollCache, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_RETRY", 0.01)
    database.ask(1)
    await poll_cache.watch(1, screen := Screen())
    database.open.clear()
    database.is_away = True
    poll_cache._polls[1].invalidate()
    reader = asyncio.create_task(poll_cache.find(1))
    await a_moment()
    await database.tell(database.count(1))
    database.open.set()
    with pytest.raises(PollsUnavailable):
        await reader

    database.is_away = False
    await asyncio.sleep(0.1)

    assert screen.messages == ["0", "1"]


async def test_an_edit_that_was_read_already_is_not_read_again(poll_cache: PollCache, database: Database) -> None:
    database.ask(1)
    notice = database.edit(1)
    poll = await poll_cache.find(1)

    await database.tell(notice)

    assert await poll_cache.find(1) is poll


async def test_polls_that_nobody_watches_any_more_make_room(
    poll_cache: PollCache, audience: Broadcaster, database: Database
) -> None:
    for number in range(1, 3 * MOST + 2):
        database.ask(number)
    screens = {number: Screen() for number in range(1, 3 * MOST)}
    for number, screen in screens.items():
        await poll_cache.watch(number, screen)
    assert len(poll_cache._polls) > 2 * MOST

    for number, screen in screens.items():
        audience.leave(number, screen)
    await poll_cache.find(3 * MOST + 1)

    assert len(poll_cache._polls) == MOST


@pytest.mark.parametrize("change", [Database.count, Database.edit])
async def test_whoever_comes_while_a_poll_changes_is_told(
    poll_cache: PollCache, database: Database, change: Callable[[Database, int], PollChanged]
) -> None:
    """The notice comes when the poll has been read, and nobody watches it yet."""
    database.ask(1)
    database.open.clear()
    screen = Screen()
    coming = asyncio.create_task(poll_cache.watch(1, screen))
    await a_moment()
    database.open.set()
    read = poll_cache._polls[1].reading
    assert read
    read.add_done_callback(lambda _: poll_cache._apply_change(change(database, 1)))

    await coming
    await a_moment()

    assert screen.messages[-1] == "1"


async def test_a_poll_that_was_forgotten_before_it_was_watched_is_told_of(
    poll_cache: PollCache, audience: Broadcaster, database: Database
) -> None:
    database.ask(1)
    poll = await poll_cache.find(1)
    del poll_cache._polls[1]
    await audience.join(poll, screen := Screen())

    await database.tell(database.count(1))

    assert screen.messages == ["0", "1"]


async def test_a_poll_that_is_scheduled_before_another_appears_first(poll_cache: PollCache, database: Database) -> None:
    """The list was being read, with the other poll as the next one, when this one was scheduled."""
    database.ask(1, published=timedelta(hours=1))
    database.open.clear()
    slow = asyncio.create_task(poll_cache.latest(skip=0, limit=5))
    await a_moment()
    database.ask(2, published=timedelta(seconds=0.1))
    await database.tell(PollChanged(2, 0, 0))
    database.open.set()
    await slow
    await poll_cache.latest(skip=0, limit=5)
    before = database.lists

    await asyncio.sleep(0.2)
    await poll_cache.latest(skip=0, limit=5)

    assert database.lists == before + 1


async def test_news_that_can_not_be_followed_any_more_are_not_trusted(
    poll_cache: PollCache, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await database.tell("nonsense", PollChanged(1, "x"))  # type: ignore[arg-type]
    database.ask(1)
    await poll_cache.find(1)
    await database.tell(PollChanged(1, "x", 0, 1, {}))  # type: ignore[arg-type]

    assert not poll_cache.is_synced
    assert "can't be followed" in caplog.text


async def test_a_poll_that_breaks_its_reader_does_not_keep_others_from_being_read(
    poll_cache: PollCache, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_RETRY", 0.01)
    for number in (1, 2):
        database.ask(number)
    await poll_cache.watch(1, Screen())
    await poll_cache.watch(2, screen := Screen())
    find = poll_cache._find

    async def broken(question_id: int) -> Poll | None:
        if question_id == 1:
            raise ZeroDivisionError
        return await find(question_id)

    poll_cache._find = broken
    await database.tell(database.edit(1), database.edit(2))
    await asyncio.sleep(0.1)

    assert screen.messages == ["0", "1"]


async def test_an_answer_that_took_long_is_no_leap_of_the_clock(
    poll_cache: PollCache, database: Database, now: datetime
) -> None:
    database.ask(1, closed=timedelta(hours=1))
    await poll_cache.find(1)
    alarm = poll_cache._polls[1].alarm

    await database.tell(ClockSync(now - timedelta(seconds=1), 1.5))

    assert poll_cache._polls[1].alarm is alarm
    assert abs(poll_cache._clock.now() - now) < timedelta(seconds=1)
