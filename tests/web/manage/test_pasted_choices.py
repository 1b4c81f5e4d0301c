"""A list that was pasted into a choice: each line becomes a choice."""

import pytest

from polls.storage.postgres.connect import Connection
from tests.conftest import CreatePoll
from tests.support.pages import fields, parse
from tests.web.conftest import Client
from tests.web.manage.test_poll_form import ADD, FIRST, choices, errors, form_of, new_poll, send


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["Red\r\n\r\n Green \nBlue\n"], ["Red", "Green", "Blue"]),
        (["Red", "Green\nBlue", "White"], ["Red", "Green", "Blue", "White"]),
        (["\n\n", "Red"], ["Red"]),
    ],
)
async def test_each_line_becomes_a_choice(
    ada: Client, database: Connection, typed: list[str], expected: list[str]
) -> None:
    assert (await send(ada, ADD, new_poll(*typed, ""))).status == 303
    assert [text for _, text, _ in choices(database)] == expected


async def test_a_saved_choice_keeps_the_first_line_and_its_votes(
    ada: Client, create_poll: CreatePoll, database: Connection
) -> None:
    create_poll("Tea?", "Yes", "No", votes=(1, 0))
    form = {**await form_of(ada, FIRST), "choice.0.text": "Sure\nMaybe"}

    assert (await send(ada, FIRST, form)).status == 303
    assert [(text, votes) for _, text, votes in choices(database)] == [("Sure", 1), ("Maybe", 0), ("No", 0)]


async def test_an_error_keeps_all_lines_and_positions(ada: Client) -> None:
    response = await send(ada, ADD, {**new_poll("A\nB", "C\n" + "x" * 201), "choice.0.position": "last"})
    page = await response.text()

    again = fields(parse(page), ADD)
    lines = [again[f"choice.{number}.text"] for number in range(4)]
    assert sorted(lines) == ["A", "B", "C", "x" * 201]
    assert "last" in again.values()


async def test_too_many_lines_are_an_error(ada: Client, database: Connection) -> None:
    response = await send(ada, ADD, new_poll("x\n" * 20_000))

    assert "choices" in await errors(response)
    assert choices(database) == []
