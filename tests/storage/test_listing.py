"""The list of all polls, compared with a model of plain Python for random filters and orders."""

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from polls.config.settings import Postgres
from polls.domain.poll import State, Visibility
from polls.storage import calendar, listing
from polls.storage.clock import now
from polls.storage.listing import Column, Period, PollFilter, PollRow, SortKey
from polls.storage.postgres.connect import Connection
from polls.storage.postgres.pool import Database, open_database

WORDS = ("apple", "apricot", "banana", "berry", "cherry")
SEEDS = range(40)


@pytest.fixture
async def pool(postgres: Postgres) -> AsyncIterator[Database]:
    pool = await open_database(postgres)
    yield pool
    await pool.close()


@pytest.fixture
def polls(database: Connection) -> None:
    """Polls of all kinds with many ties: few dates, few texts, few numbers of ballots, on both sides of 16."""
    dice = random.Random(7)
    with database.cursor() as cursor:
        for _ in range(300):
            words = " ".join(dice.sample(WORDS, 2))
            cursor.execute(
                "INSERT INTO question (question_text, pub_date, closes_at, ballots, is_listed, hidden_at) SELECT "
                "%s, hour - %s * interval '1 hour', hour - %s * interval '1 hour', %s, %s, %s "
                "FROM date_trunc('hour', now()) AS hour RETURNING id",
                (
                    words,
                    dice.choice([-50, -1, 0, 1, 5, 23, 24, 25, 24 * 40, 24 * 400]),
                    dice.choice([None, None, -100, -60, 0, 1]),
                    dice.choice([0, 0, 1, 15, 16, 17, 18, 19, 20, 200, 201, 210]),
                    dice.random() < 0.8,
                    dice.choice([None, None, None, datetime(2026, 5, 3, tzinfo=UTC)]),
                ),
            )
            if dice.random() < 0.8:
                cursor.execute(
                    "INSERT INTO choice (question_id, choice_text) VALUES (%s, %s)",
                    (*(cursor.fetchone() or ()), dice.choice(WORDS)),
                )


async def page(
    pool: Database, poll_filter: PollFilter, skip: int = 0, limit: int = 2000, max_count: int = listing.MAX_COUNT
) -> list[PollRow]:
    prefetched, _ = await listing.prefetch_matches(pool, poll_filter, max_count=max_count)
    return await listing.page(pool, prefetched, skip=skip, limit=limit)


def random_filter(now: datetime, seed: int) -> PollFilter:
    dice = random.Random(seed)
    hour = now.replace(minute=0, second=0, microsecond=0)
    starts = dice.sample([-60, 0, 24, 48, 24 * 41], dice.choice([0, 0, 1, 2]))
    return PollFilter(
        now,
        tuple(Period(hour - timedelta(hours=start), hour + timedelta(hours=dice.choice([1, 60]))) for start in starts),
        dice.choice([None, None, *State]),
        " ".join(
            word[dice.choice([0, 2]) : dice.choice([3, 9])] for word in dice.sample(WORDS, dice.choice([0, 0, 1, 2]))
        ),
        tuple(SortKey(column, dice.random() < 0.5) for column in dice.sample(list(Column), dice.choice([1, 1, 2, 3]))),
        visibility=dice.choice([None, None, *Visibility]),
    )


def sort_key(key: SortKey, now: datetime) -> Any:
    match key.column:
        case Column.TEXT:
            return lambda poll: poll.question.text
        case Column.PUBLISHED:
            return lambda poll: poll.question.pub_date
        case Column.RECENT:
            return lambda poll: poll.question.was_published_recently(now)
        case Column.STATE:
            return lambda poll: list(State).index(poll.question.state(now))
        case Column.BALLOTS:
            return lambda poll: poll.ballots


def matching(polls: list[PollRow], poll_filter: PollFilter, texts: dict[int, str]) -> list[PollRow]:
    def matches(poll: PollRow) -> bool:
        words = texts[poll.question.id].split()
        return (
            all(period.start <= poll.question.pub_date < period.end for period in poll_filter.periods)
            and poll_filter.state in {None, poll.question.state(poll_filter.now)}
            and poll_filter.visibility in {None, poll.question.visibility}
            and all(any(part in word for word in words) for part in poll_filter.words.split())
        )

    return [poll for poll in polls if matches(poll)]


def in_order(polls: list[PollRow], poll_filter: PollFilter) -> list[PollRow]:
    for key in reversed(poll_filter.order):
        polls = sorted(polls, key=sort_key(key, poll_filter.now), reverse=key.descending)
    return polls


@pytest.mark.usefixtures("polls")
@pytest.mark.parametrize("max_count", [listing.MAX_COUNT, 3], ids=["prefetched", "not prefetched"])
async def test_pages_equal_those_of_a_plain_model(pool: Database, database: Connection, max_count: int) -> None:
    moment = await now(pool)
    polls = await page(pool, PollFilter(moment))
    assert len(polls) == 300
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT question.id, concat_ws(' ', question_text, choice_text) "
            "FROM question LEFT JOIN choice ON question_id = question.id"
        )
        texts = dict(cursor.fetchall())

    for seed in SEEDS:
        poll_filter = random_filter(moment, seed)
        expected = matching(polls, poll_filter, texts)
        found = await page(pool, poll_filter, max_count=max_count)
        assert {poll.question.id for poll in found} == {poll.question.id for poll in expected}, poll_filter
        assert [[sort_key(key, moment)(poll) for key in poll_filter.order] for poll in found] == [
            [sort_key(key, moment)(poll) for key in poll_filter.order] for poll in in_order(expected, poll_filter)
        ], poll_filter
        _, count = await listing.prefetch_matches(pool, poll_filter, max_count=max_count)
        assert count == min(len(expected), max_count + 1)
        assert await listing.ids(pool, poll_filter, limit=200) == [poll.question.id for poll in found][:200]
        for size in (33, 100):
            pages = [await page(pool, poll_filter, skip, size, max_count) for skip in range(0, 350, size)]
            assert [poll for page in pages for poll in page] == found, poll_filter


@pytest.mark.usefixtures("polls")
@pytest.mark.parametrize("max_count", [listing.MAX_COUNT, 3], ids=["prefetched", "not prefetched"])
async def test_periods_with_polls_equal_those_of_a_plain_model(pool: Database, max_count: int) -> None:
    moment = await now(pool)
    days = [Period(moment + timedelta(days=day), moment + timedelta(days=day + 1)) for day in range(-45, 5)]

    for seed in SEEDS:
        poll_filter = random_filter(moment, seed)
        polls = await page(pool, poll_filter, max_count=max_count)
        expected = [day for day in days if any(day.start <= poll.question.pub_date < day.end for poll in polls)]
        prefetched, _ = await listing.prefetch_matches(pool, poll_filter, max_count=max_count)
        assert await calendar.periods_with_polls(pool, prefetched, days) == expected


async def test_polls_are_counted_up_to_a_limit(pool: Database, database: Connection) -> None:
    with database.cursor() as cursor:
        cursor.execute("INSERT INTO question (question_text, pub_date) SELECT 'x', now() FROM generate_series(1, 50)")

    _, count = await listing.prefetch_matches(pool, PollFilter(await now(pool)), max_count=10)

    assert count == 11


async def test_polls_of_one_magnitude_are_ordered_by_ballots(pool: Database, database: Connection) -> None:
    """From 16 ballots on, the magnitude in the index is rounded."""
    with database.cursor() as cursor:
        cursor.execute(
            "INSERT INTO question (question_text, pub_date, ballots) "
            "SELECT 'x', now(), mod(n * 7919, 5000) FROM generate_series(1, 2000) AS n"
        )
    for descending in (False, True):
        poll_filter = PollFilter(datetime.now(UTC), order=(SortKey(Column.BALLOTS, descending),))

        found = [poll.ballots for poll in await page(pool, poll_filter)]

        assert found == sorted(found, reverse=descending)


async def test_a_vote_writes_no_index(database: Connection) -> None:
    """Small changes of a poll's counts are heap-only updates."""
    with database.cursor() as cursor:
        cursor.execute("INSERT INTO question (question_text, pub_date, ballots) VALUES ('x', now(), 1000)")
        for _ in range(5):
            cursor.execute("UPDATE question SET ballots = ballots + 1, revision = revision + 1")
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute("SELECT magnitude FROM question")
        cursor.execute("SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'question'")
        before = cursor.fetchone() or ()
        for _ in range(10):
            cursor.execute("UPDATE question SET ballots = ballots + 1, revision = revision + 1")
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute("SELECT 1")
        cursor.execute("SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'question'")
        after = cursor.fetchone() or ()

    assert [new - old for new, old in zip(after, before, strict=True)] == [10, 10]
