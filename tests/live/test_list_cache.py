"""The cache of the list: new votes, the limit on its pages, and queries that take long."""

import asyncio
from collections import Counter
from datetime import datetime

import pytest

from polls.domain.errors import PollsUnavailable, TooManySearches
from polls.domain.events import PollChanged
from polls.domain.poll import Question, State
from polls.domain.poll_list import ListedPoll, ListPage, ListQuery
from polls.live.clock import DatabaseClock
from polls.live.list_cache import PollListCache
from tests.live.fakes import run_ready_tasks

FIRST = ListQuery()
INTERVAL = 0.1
VOTE = PollChanged(1, 1, 0, 1, {1: 1})


class FakeDatabase:
    """A database with one poll, which counts how often each page is read."""

    def __init__(self, now: datetime) -> None:
        self.question = Question(1, "Tea?", now)
        self.ballots = 0
        self.reads: Counter[ListQuery] = Counter()
        self.is_unreachable = False
        self.unblocked = asyncio.Event()
        self.unblocked.set()

    async def read(self, query: ListQuery) -> ListPage:
        self.reads[query] += 1
        if query.is_expensive:
            await self.unblocked.wait()
        if self.is_unreachable:
            raise PollsUnavailable
        return ListPage((ListedPoll(self.question, self.ballots, is_closed=False),), 1, has_older=False)

    async def next_transition(self) -> None:
        return None


@pytest.fixture
def database(now: datetime) -> FakeDatabase:
    return FakeDatabase(now)


@pytest.fixture
def lists(database: FakeDatabase) -> PollListCache:
    return PollListCache(
        database.read, database.next_transition, DatabaseClock(), lambda: True, votes_interval=INTERVAL
    )


async def test_a_thousand_votes_and_requests_in_a_moment_read_a_page_once_more(
    lists: PollListCache, database: FakeDatabase
) -> None:
    await lists.find(FIRST)
    await asyncio.sleep(INTERVAL)

    for database.ballots in range(1, 1001):
        lists.apply(VOTE)
        await lists.find(FIRST)

    assert database.reads[FIRST] == 2


async def test_votes_are_shown_when_the_interval_is_over(lists: PollListCache, database: FakeDatabase) -> None:
    await lists.find(FIRST)
    database.ballots = 1
    lists.apply(VOTE)
    await asyncio.sleep(INTERVAL)

    (poll,) = (await lists.find(FIRST)).polls

    assert poll.ballots == 1


async def test_without_votes_a_page_is_never_read_again(lists: PollListCache, database: FakeDatabase) -> None:
    first = await lists.find(FIRST)
    await asyncio.sleep(INTERVAL)

    assert await lists.find(FIRST) is first
    assert database.reads[FIRST] == 1


async def test_a_page_stays_the_same_object_if_votes_of_others_were_counted(
    lists: PollListCache, database: FakeDatabase
) -> None:
    first = await lists.find(FIRST)
    lists.apply(VOTE)
    await asyncio.sleep(INTERVAL)

    assert await lists.find(FIRST) is first
    assert database.reads[FIRST] == 2


async def test_a_page_is_shown_with_older_counts_while_the_database_can_not_be_read(
    lists: PollListCache, database: FakeDatabase
) -> None:
    first = await lists.find(FIRST)
    lists.apply(VOTE)
    database.is_unreachable = True
    await asyncio.sleep(INTERVAL)

    assert [await lists.find(FIRST) for _ in range(100)] == [first] * 100
    assert database.reads[FIRST] == 2


async def test_searches_do_not_evict_the_pages_that_are_read_all_the_time(
    lists: PollListCache, database: FakeDatabase
) -> None:
    for number in range(1100):
        await lists.find(ListQuery(words=f"{number}"))
        await lists.find(FIRST)
    await lists.find(ListQuery(words="0"))

    assert database.reads[FIRST] == 1
    assert database.reads[ListQuery(words="0")] == 2


async def test_searches_and_distant_pages_are_read_one_at_a_time_and_delay_no_other_page(
    lists: PollListCache, database: FakeDatabase
) -> None:
    database.unblocked.clear()
    slow = [ListQuery(words="tea"), ListQuery(State.OPEN, "tea"), ListQuery(page=1000)]
    readers = [asyncio.create_task(lists.find(query)) for query in slow]
    await run_ready_tasks()

    await lists.find(FIRST)
    await lists.find(ListQuery(State.OPEN, page=2))
    assert [database.reads[query] for query in slow] == [1, 0, 0]

    database.unblocked.set()
    await asyncio.gather(*readers)
    assert [database.reads[query] for query in slow] == [1, 1, 1]


async def test_too_many_searches_at_once_are_refused(lists: PollListCache, database: FakeDatabase) -> None:
    database.unblocked.clear()
    readers = [asyncio.create_task(lists.find(ListQuery(words=f"{number}"))) for number in range(50)]
    await run_ready_tasks()

    with pytest.raises(TooManySearches):
        await lists.find(ListQuery(words="one more"))

    database.unblocked.set()
    results = await asyncio.gather(*readers, return_exceptions=True)
    assert sum(isinstance(result, ListPage) for result in results) == 21
