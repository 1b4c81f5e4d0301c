"""Reading questions and polls."""

import pytest
from aiohttp.test_utils import TestClient

from polls.domain.poll import Choice
from polls.storage import questions
from polls.storage.postgres.connect import Connection
from polls.storage.postgres.pool import Database
from polls.web.keys import DATABASE
from tests.conftest import CreatePoll


@pytest.fixture
def pool(client: TestClient) -> Database:
    return client.app[DATABASE]  # type: ignore[union-attr]


async def test_a_poll_that_does_not_exist_is_not_found(pool: Database) -> None:
    assert await questions.find(pool, 999) is None


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
