"""The cache of score counts: how often a poll's ballots are read, and what callers wait for."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from polls.domain.distribution import ScoreCounts
from polls.domain.errors import PollsUnavailable
from polls.domain.poll import Choice, Poll, Question
from polls.live.score_cache import ScoreCache, ScoredPoll
from tests.live.fakes import run_ready_tasks

INTERVAL, PATIENCE = 0.1, 0.02


class FakeBallots:
    """Ballots whose counts are read, at a revision."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.revision = self.generation = 1
        self.reads: list[int] = []
        self.running = self.most_at_once = 0
        self.is_unreachable = False
        self.unblocked = asyncio.Event()
        self.unblocked.set()

    async def count(self, question_id: int) -> ScoreCounts:
        self.reads.append(question_id)
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        counts = ScoreCounts(self.revision, 1, self.revision, self.now, {(1, 5): self.revision})
        await self.unblocked.wait()
        self.running -= 1
        if self.is_unreachable:
            raise PollsUnavailable
        return counts


@pytest.fixture
def ballots(now: datetime) -> FakeBallots:
    return FakeBallots(now)


@pytest.fixture
def cache(ballots: FakeBallots) -> ScoreCache:
    return ScoreCache(ballots.count, lambda: ballots.generation, max_polls=3, interval=INTERVAL, max_wait=PATIENCE)


def poll(revision: int = 1, question_id: int = 1, edition: int = 1) -> Poll:
    now = datetime(2026, 5, 3, tzinfo=UTC)
    return Poll(Question(question_id, "?", now), (Choice(1, "!"),), now, revision, revision, edition)


def known(revision: int | None, scored: ScoredPoll) -> bool:
    return (scored.counts and scored.counts.revision) == revision


async def test_counts_are_read_once_for_all_who_wait_and_kept_until_the_poll_changes(
    cache: ScoreCache, ballots: FakeBallots
) -> None:
    same = poll()

    first, *others = await asyncio.gather(*(cache.find(same) for _ in range(100)))
    await asyncio.sleep(INTERVAL)

    assert known(1, first)
    assert {id(scored) for scored in others} == {id(first)} == {id(await cache.find(same))}
    assert ballots.reads == [1]


async def test_while_votes_come_in_they_are_read_once_an_interval(cache: ScoreCache, ballots: FakeBallots) -> None:
    await cache.find(poll())
    for ballots.revision in range(2, 1000):
        assert known(1, await cache.find(poll(ballots.revision)))
    assert ballots.reads == [1]

    await asyncio.sleep(INTERVAL)

    assert known(999, await cache.find(poll(999)))
    assert ballots.reads == [1, 1]


async def test_a_slow_read_is_waited_for_once_and_shown_when_it_has_ended(
    cache: ScoreCache, ballots: FakeBallots
) -> None:
    ballots.unblocked.clear()
    begin = asyncio.get_running_loop().time()

    same = poll()
    assert known(None, await cache.find(same))
    assert known(None, await cache.find(same))
    assert PATIENCE <= asyncio.get_running_loop().time() - begin < 5 * PATIENCE
    ballots.unblocked.set()
    await run_ready_tasks()
    assert known(1, await cache.find(same))
    ballots.revision = 2
    assert known(1, await cache.find(poll(2)))  # reads use at most a tenth of the time
    assert ballots.reads == [1]


async def test_one_poll_is_read_at_a_time(cache: ScoreCache, ballots: FakeBallots) -> None:
    ballots.unblocked.clear()

    await asyncio.gather(*(cache.find(poll(question_id=question_id)) for question_id in (1, 2, 3)))
    ballots.unblocked.set()
    await run_ready_tasks()

    assert (sorted(ballots.reads), ballots.most_at_once) == ([1, 2, 3], 1)


async def test_the_number_of_polls_is_limited(cache: ScoreCache, ballots: FakeBallots) -> None:
    for question_id in (1, 2, 3, 1, 4, 1, 3, 2):
        await cache.find(poll(question_id=question_id))

    assert ballots.reads == [1, 2, 3, 4, 2]


async def test_former_counts_are_kept_while_the_database_is_unreachable(
    cache: ScoreCache, ballots: FakeBallots
) -> None:
    await cache.find(poll())
    await asyncio.sleep(INTERVAL)
    ballots.is_unreachable = True

    assert known(1, await cache.find(poll(2)))
    assert known(1, await cache.find(poll(2)))
    assert ballots.reads == [1, 1]


async def test_counts_of_another_edition_are_not_shown(cache: ScoreCache) -> None:
    await cache.find(poll())

    assert known(None, await cache.find(poll(2, edition=2)))


async def test_counts_are_read_again_after_a_restored_database(cache: ScoreCache, ballots: FakeBallots) -> None:
    same = poll()
    before = await cache.find(same)
    await asyncio.sleep(INTERVAL)
    ballots.generation = 2

    assert await cache.find(same) is not before
    assert ballots.reads == [1, 1]


async def test_closing_cancels_the_reads(cache: ScoreCache, ballots: FakeBallots) -> None:
    ballots.unblocked.clear()
    await cache.find(poll())

    await cache.close()

    assert ballots.running == 1
    assert known(None, await cache.find(replace(poll(), revision=3)))
