"""Reading questions and polls."""

from datetime import UTC, datetime, timedelta

import pytest
from aiohttp.test_utils import TestClient

from polls.domain.poll import Choice
from polls.storage import questions
from polls.storage.postgres.connect import Connection
from polls.storage.postgres.pool import Database
from polls.web.keys import DATABASE
from tests.conftest import CreatePoll

# Published or not: (age, number of choices).
CORNERS = [
    (timedelta(days=400), 2),
    (timedelta(seconds=1), 1),
    (timedelta(seconds=1), 0),
    (timedelta(seconds=-60), 2),
    (timedelta(days=-400), 2),
    (timedelta(days=400), 0),
]


@pytest.fixture
def pool(client: TestClient) -> Database:
    return client.app[DATABASE]  # type: ignore[union-attr]


@pytest.mark.parametrize(("ago", "choices"), CORNERS)
async def test_published_means_the_same_in_sql_and_in_the_domain(
    pool: Database, create_poll: CreatePoll, ago: timedelta, choices: int
) -> None:
    poll = create_poll("Tea?", *["Yes", "No"][:choices], ago=ago)

    listed = await questions.latest(pool, skip=0, limit=5)
    found = await questions.find(pool, poll.question.id)

    assert found == poll
    assert (poll.question in listed) is found.is_published


async def test_a_poll_that_does_not_exist_is_not_found(pool: Database) -> None:
    assert await questions.find(pool, 999) is None


async def test_the_next_publication_is_the_earliest_in_the_future(pool: Database, create_poll: CreatePoll) -> None:
    assert await questions.next_publication(pool) is None
    for days in (-3, -2, 5):
        create_poll(f"{days} days ago", "Yes", ago=timedelta(days=days))

    next_one = await questions.next_publication(pool)

    assert next_one
    assert timedelta(days=1) < next_one - datetime.now(UTC) < timedelta(days=2, minutes=1)


async def test_the_latest_questions_come_first(pool: Database, create_poll: CreatePoll) -> None:
    for text, days in [("second", 2), ("third", 3), ("first", 1)]:
        create_poll(text, "Yes", ago=timedelta(days=days))

    assert [question.text for question in await questions.latest(pool, skip=0, limit=5)] == [
        "first",
        "second",
        "third",
    ]


async def test_latest_skips_and_limits(pool: Database, create_poll: CreatePoll) -> None:
    for days in range(1, 6):
        create_poll(f"{days} days ago", "Yes", ago=timedelta(days=days))

    found = await questions.latest(pool, skip=1, limit=2)

    assert [question.text for question in found] == ["2 days ago", "3 days ago"]


async def test_choices_are_ordered_by_position(pool: Database, create_poll: CreatePoll, database: Connection) -> None:
    poll = create_poll("Tea?", "Yes", "No", "Perhaps")
    with database.cursor() as cursor:
        cursor.execute("UPDATE choice SET position = 9 - position")

    found = await questions.find(pool, poll.question.id)

    assert found
    assert [choice.text for choice in found.choices] == ["Perhaps", "No", "Yes"]


async def test_any_text_is_read_as_it_was_written(pool: Database, create_poll: CreatePoll) -> None:
    poll = create_poll("100 % %s {x} 'quoted' <b>\u202e ☕", "是", "\\")

    found = await questions.find(pool, poll.question.id)

    assert found
    assert found.question.text == "100 % %s {x} 'quoted' <b>\u202e ☕"
    assert [choice.text for choice in found.choices] == ["是", "\\"]
    assert found.choices[0] == Choice(poll.choices[0].id, "是", 0)
