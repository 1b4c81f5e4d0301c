"""The list of all polls beside a plain model of it: whatever is asked for, both find the same, in the same order."""

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from polls.config.settings import Postgres
from polls.domain.poll import State
from polls.storage import listing
from polls.storage.clock import now
from polls.storage.listing import Column, Key, Period, PollFilter, PollRow
from polls.storage.postgres.connect import Connection
from polls.storage.postgres.pool import Database, open_database

WORDS = ("apple", "apricot", "banana", "berry", "cherry")
SEEDS = range(40)


@pytest.fixture
async def engine(postgres: Postgres) -> AsyncIterator[Database]:
    engine = await open_database(postgres)
    yield engine
    await engine.close()


@pytest.fixture
def many(database: Connection) -> None:
    """Polls of all kinds with many ties: few dates, few texts, few numbers of ballots, on both sides of 16."""
    dice = random.Random(7)
    with database.cursor() as cursor:
        for _ in range(300):
            words = " ".join(dice.sample(WORDS, 2))
            cursor.execute(
                "INSERT INTO question (question_text, pub_date, closes_at, ballots) SELECT "
                "%s, hour - %s * interval '1 hour', hour - %s * interval '1 hour', %s "
                "FROM date_trunc('hour', now()) AS hour RETURNING id",
                (
                    words,
                    dice.choice([-50, -1, 0, 1, 5, 23, 24, 25, 24 * 40, 24 * 400]),
                    dice.choice([None, None, -100, -60, 0, 1]),
                    dice.choice([0, 0, 1, 15, 16, 17, 18, 19, 20, 200, 201, 210]),
                ),
            )
            if dice.random() < 0.8:
                cursor.execute(
                    "INSERT INTO choice (question_id, choice_text) VALUES (%s, %s)",
                    (*(cursor.fetchone() or ()), dice.choice(WORDS)),
                )


async def page(engine: Database, wanted: PollFilter, skip: int = 0, limit: int = 2000) -> list[PollRow]:
    return await listing.page(engine, (await listing.prefetch_matches(engine, wanted))[0], skip=skip, limit=limit)


def wishes(moment: datetime, seed: int) -> PollFilter:
    """Something that somebody may want to see."""
    dice = random.Random(seed)
    hour = moment.replace(minute=0, second=0, microsecond=0)
    starts = dice.sample([-60, 0, 24, 48, 24 * 41], dice.choice([0, 0, 1, 2]))
    return PollFilter(
        moment,
        tuple(Period(hour - timedelta(hours=start), hour + timedelta(hours=dice.choice([1, 60]))) for start in starts),
        dice.choice([None, None, *State]),
        " ".join(word[: dice.choice([2, 9])] for word in dice.sample(WORDS, dice.choice([0, 0, 1, 2]))),
        tuple(Key(column, dice.random() < 0.5) for column in dice.sample(list(Column), dice.choice([1, 1, 2, 3]))),
    )


def by(key: Key, moment: datetime) -> Any:
    match key.column:
        case Column.TEXT:
            return lambda poll: poll.question.text
        case Column.PUBLISHED:
            return lambda poll: poll.question.pub_date
        case Column.RECENT:
            return lambda poll: poll.question.was_published_recently(moment)
        case Column.STATE:
            return lambda poll: list(State).index(poll.question.state(moment))
        case Column.BALLOTS:
            return lambda poll: poll.ballots


def chosen(polls: list[PollRow], wanted: PollFilter, texts: dict[int, str]) -> list[PollRow]:
    def fits(poll: PollRow) -> bool:
        words = texts[poll.question.id].split()
        return (
            all(period.start <= poll.question.pub_date < period.end for period in wanted.periods)
            and wanted.state in {None, poll.question.state(wanted.now)}
            and all(any(word.startswith(part) for word in words) for part in wanted.words.split())
        )

    return [poll for poll in polls if fits(poll)]


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("most", [listing.MOST_COUNTED, 3])
async def test_it_lists_what_a_plain_model_lists(
    engine: Database, database: Connection, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Whether those with the words are few enough to be found first, or not."""
    monkeypatch.setattr(listing, "MOST_COUNTED", most)
    moment = await now(engine)
    polls = await page(engine, PollFilter(moment))
    assert len(polls) == 300
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT question.id, concat_ws(' ', question_text, choice_text) "
            "FROM question LEFT JOIN choice ON question_id = question.id"
        )
        texts = dict(cursor.fetchall())

    for seed in SEEDS:
        wanted = wishes(moment, seed)
        expected = chosen(polls, wanted, texts)
        found = await page(engine, wanted)
        assert {poll.question.id for poll in found} == {poll.question.id for poll in expected}, wanted
        assert [[by(key, moment)(poll) for key in wanted.order] for poll in found] == [
            [by(key, moment)(poll) for key in wanted.order] for poll in in_order(expected, wanted)
        ], wanted
        assert (await listing.prefetch_matches(engine, wanted))[1] == min(len(expected), most + 1)
        for size in (33, 100):
            pages = [await page(engine, wanted, skip, size) for skip in range(0, 350, size)]
            assert [poll for page in pages for poll in page] == found, wanted


def in_order(polls: list[PollRow], wanted: PollFilter) -> list[PollRow]:
    for key in reversed(wanted.order):
        polls = sorted(polls, key=by(key, wanted.now), reverse=key.descending)
    return polls


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("most", [listing.MOST_COUNTED, 3])
async def test_it_knows_in_which_periods_there_are_polls(
    engine: Database, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Whether they are few enough to be looked at one by one, or not."""
    monkeypatch.setattr(listing, "MOST_COUNTED", most)
    moment = await now(engine)
    days = [Period(moment + timedelta(days=day), moment + timedelta(days=day + 1)) for day in range(-45, 5)]

    for seed in SEEDS:
        wanted = wishes(moment, seed)
        polls = await page(engine, wanted)
        expected = [day for day in days if any(day.start <= poll.question.pub_date < day.end for poll in polls)]
        assert (
            await listing.periods_with_polls(engine, (await listing.prefetch_matches(engine, wanted))[0], days)
            == expected
        )


async def test_more_than_can_be_counted_are_more(
    engine: Database, database: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MOST_COUNTED", 10)
    with database.cursor() as cursor:
        cursor.execute("INSERT INTO question (question_text, pub_date) SELECT 'x', now() FROM generate_series(1, 50)")

    assert (await listing.prefetch_matches(engine, PollFilter(await now(engine))))[1] == 11


async def test_polls_of_one_size_class_are_in_the_order_of_their_ballots(
    engine: Database, database: Connection
) -> None:
    """From 16 on, what the index knows of ballots is rounded."""
    with database.cursor() as cursor:
        cursor.execute(
            "INSERT INTO question (question_text, pub_date, ballots) "
            "SELECT 'x', now(), mod(n * 7919, 5000) FROM generate_series(1, 2000) AS n"
        )
    for descending in (False, True):
        wanted = PollFilter(datetime.now(UTC), order=(Key(Column.BALLOTS, descending),))

        found = [poll.ballots for poll in await page(engine, wanted)]

        assert found == sorted(found, reverse=descending)


async def test_a_vote_leaves_the_indexes_alone(database: Connection) -> None:
    """No index is written when a poll's counts change by little: PostgreSQL's heap-only updates."""
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

    assert [then - earlier for then, earlier in zip(after, before, strict=True)] == [10, 10]
