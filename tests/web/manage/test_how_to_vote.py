"""The settings of a poll in its form: description, method and limits, and that they can't change with ballots."""

from dataclasses import replace
from typing import Any

import pytest

from polls.domain.settings import DEFAULT_SETTINGS, PollSettings
from polls.storage.postgres.connect import Connection
from tests.conftest import CreatePoll
from tests.support.pages import field_errors, fields, find, parse, words
from tests.web.conftest import Client
from tests.web.manage.test_poll_form import ADD, FIRST, form_of, new_poll, send

MULTIPLE = PollSettings(method="multiple", fewest_marks=1, most_marks=2)


def settings_in(database: Connection, question_id: int = 1) -> PollSettings:
    """Return the settings of a poll as they are stored."""
    names = PollSettings.__slots__
    with database.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(names)} FROM poll_settings WHERE question_id = %s", (question_id,))
        row = cursor.fetchone()
    return PollSettings(*row) if row else DEFAULT_SETTINGS


async def errors_after(ada: Client, url: str, sent: Any, status: int) -> dict[str, str]:
    """Return the messages of the form, after checking that everything typed is in it."""
    response = await send(ada, url, sent)
    assert response.status == status
    page = parse(await response.text())
    again = fields(page, url)
    assert {name: again[name] for name in sent} == {**sent}
    return field_errors(page)


@pytest.mark.parametrize(
    ("typed", "settings", "summary"),
    [
        ({}, DEFAULT_SETTINGS, "One answer"),
        ({"multiple.most_marks": "many"}, DEFAULT_SETTINGS, "One answer"),
        ({"method": "multiple"}, PollSettings(method="multiple", most_marks=None), "Several answers · at least 1"),
        (
            {"method": "multiple", "multiple.fewest_marks": "2", "multiple.most_marks": " 3 "},
            PollSettings(method="multiple", fewest_marks=2, most_marks=3),
            "Several answers · at least 2 · at most 3",
        ),
        (
            {"method": "score", "score.most_points": "10", "score.lowest_label": "Bad", "score.highest_label": " "},
            PollSettings(method="score", most_marks=None, most_points=10, lowest_label="Bad"),
            "Scores · 0 to 10",
        ),
        (
            {"method": "dots", "dots.budget": "12"},
            PollSettings(method="dots", most_marks=None, most_points=12, budget=12),
            "Points to spread · 12 for each voter",
        ),
        (
            {"method": "dots", "dots.most_points": "4", "description": " One\r\n\r\n<b>two</b> "},
            PollSettings("One\n\n<b>two</b>", "dots", most_marks=None, most_points=4, budget=10),
            "Points to spread · 10 for each voter · at most 4 on one choice",
        ),
    ],
)
async def test_a_poll_is_added_with_its_settings_and_its_form_shows_them(
    ada: Client, database: Connection, typed: dict[str, str], settings: PollSettings, summary: str
) -> None:
    form = {**await form_of(ada, ADD), **new_poll("Yes", "No", "Perhaps"), **typed}

    assert (await send(ada, ADD, form)).status == 303
    assert settings_in(database) == settings
    page = parse(await (await ada.get(FIRST)).text())
    (folded,) = find(page, "details", class_="how-to-vote")
    assert words(find(folded, "span", class_="folded-summary")[0]) == summary
    assert (await send(ada, FIRST, fields(page, FIRST))).status == 303
    assert settings_in(database) == settings


NUMBER = "Enter a number from {} to {}.".format


ERRORS: list[tuple[dict[str, str], dict[str, str]]] = [
    ({"method": "multiple", "multiple.fewest_marks": ""}, {"multiple.fewest_marks": NUMBER(1, 100)}),
    ({"method": "multiple", "multiple.most_marks": "0"}, {"multiple.most_marks": NUMBER(1, 100)}),
    (
        {"method": "multiple", "multiple.fewest_marks": "2", "multiple.most_marks": "1"},
        {"multiple.most_marks": NUMBER(2, 100)},
    ),
    (
        {"method": "multiple", "multiple.fewest_marks": "4"},
        {"multiple.fewest_marks": "Voters must choose at least 4, but the poll has only 3 choices."},
    ),
    ({"method": "score", "score.most_points": "11"}, {"score.most_points": NUMBER(1, 10)}),
    (
        {"method": "score", "score.lowest_label": "é" * 41, "score.highest_label": "a\ufffdb"},
        {
            "score.lowest_label": "Use at most 40 characters. This text has 41.",
            "score.highest_label": "The text contains a character that can't be displayed. Enter it again.",
        },
    ),
    ({"method": "dots", "dots.budget": "101"}, {"dots.budget": NUMBER(1, 100)}),
    ({"method": "dots", "dots.budget": "٣"}, {"dots.budget": NUMBER(1, 100)}),
    ({"method": "dots", "dots.budget": "5", "dots.most_points": "6"}, {"dots.most_points": NUMBER(1, 5)}),
    ({"description": "x\n" * 1001 + "x"}, {"description": "Use at most 2,000 characters. This text has 2,003."}),
    (
        {"description": "a\ufffdb"},
        {"description": "The text contains a character that can't be displayed. Enter it again."},
    ),
]


async def test_each_error_is_shown_at_its_field_and_everything_is_kept(ada: Client, database: Connection) -> None:
    form = {**await form_of(ada, ADD), **new_poll("Yes", "No", "Perhaps")}

    for typed, expected in ERRORS:
        assert await errors_after(ada, ADD, form | typed, 400) == expected
    with database.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM question")
        assert cursor.fetchone() == (0,)


async def test_control_characters_of_a_description_are_errors(ada: Client) -> None:
    response = await send(ada, ADD, new_poll("Yes", description="a\tb\x00"))

    assert field_errors(parse(await response.text())).keys() == {"description"}


async def test_an_unknown_method_is_an_error(ada: Client) -> None:
    response = await send(ada, ADD, new_poll("Yes", method="../single"))

    assert field_errors(parse(await response.text())) == {"method": "Choose how to vote."}


async def test_with_ballots_only_texts_can_change(ada: Client, create_poll: CreatePoll, database: Connection) -> None:
    settings = PollSettings(method="score", most_marks=None, most_points=5)
    poll = create_poll("Tea?", "Yes", "No", settings=settings)
    with database.cursor() as cursor:
        cursor.execute(
            "INSERT INTO ballot (question_id, voter, marks, points) VALUES (1, '\\x00', %s, '{3}')",
            ([poll.choices[0].id],),
        )
        cursor.execute("UPDATE question SET ballots = 1")
    form = await form_of(ada, FIRST)
    page = await (await ada.get(FIRST)).text()

    assert not {"method", "score.most_points", "multiple.fewest_marks"} & form.keys()
    assert "This can't change while there are ballots. Clear the ballots first." in page
    assert (await send(ada, FIRST, {**form, "score.highest_label": "Good", "description": "Or not"})).status == 303
    assert settings_in(database) == PollSettings(
        "Or not", "score", most_marks=None, most_points=5, highest_label="Good"
    )


async def test_ballots_that_were_cast_meanwhile_fix_the_rules(
    ada: Client, create_poll: CreatePoll, database: Connection
) -> None:
    create_poll("Tea?", "Yes", "No", votes=(1, 0))
    form = {**await form_of(ada, FIRST), "text": "Coffee?", "method": "multiple", "multiple.most_marks": "2"}

    assert await errors_after(ada, FIRST, form, 409) == {
        "method": "There are ballots: voting can't change. Enter what was saved, or clear the ballots first."
    }
    assert settings_in(database) == DEFAULT_SETTINGS
    assert (await send(ada, FIRST, {**form, "method": "single"})).status == 303


async def test_a_choice_that_is_marked_beside_others_cannot_be_removed(
    ada: Client, create_poll: CreatePoll, database: Connection
) -> None:
    poll = create_poll("Tea?", "Yes", "No", "Perhaps", settings=MULTIPLE)
    with database.cursor() as cursor:
        marks = [choice.id for choice in poll.choices[:2]]
        cursor.execute("INSERT INTO ballot (question_id, voter, marks) VALUES (1, '\\x00', %s)", (marks,))
        cursor.execute("UPDATE question SET ballots = 1")
        cursor.execute("UPDATE choice SET votes = 1 WHERE id = ANY (%s)", (marks,))
    form = {**await form_of(ada, FIRST), "choice.1.remove": "yes", "description": "New"}

    assert await errors_after(ada, FIRST, form, 409) == {
        "choice.1": "Voters have marked this choice beside others. Untick “Remove”, or clear the ballots first."
    }
    assert settings_in(database) == MULTIPLE


async def test_a_conflict_and_the_history_show_settings_in_words(
    ada: Client, bob: Client, create_poll: CreatePoll, database: Connection
) -> None:
    create_poll("Tea?", "Yes", "No")
    form = await form_of(bob, FIRST)
    await send(ada, FIRST, {**await form_of(ada, FIRST), "method": "multiple", "multiple.most_marks": "2"})

    page = parse(await (await send(bob, FIRST, {**form, "description": "Hot"})).text())

    assert "Saved by someone else: Several answers · at least 1 · at most 2" in words(page)
    assert "open" in find(page, "details", class_="how-to-vote")[0].attrib
    assert (await send(bob, FIRST, fields(page, FIRST))).status == 303
    assert settings_in(database) == PollSettings("Hot")
    history = words(parse(await (await ada.get(f"{FIRST}/history")).text()))
    for change in (
        "How to vote: Several answers",
        "Answers at most: 2",
        "How to vote: from Several answers to One answer",
        "Description: “Hot”",
    ):
        assert change in history


async def test_the_history_tells_each_change_of_a_limit_by_its_old_and_new_value(
    ada: Client, create_poll: CreatePoll
) -> None:
    create_poll("Tea?", "Yes", "No", settings=replace(MULTIPLE, most_marks=1))
    assert (await send(ada, FIRST, {**await form_of(ada, FIRST), "description": "One\r\n\r\ntwo"})).status == 303
    for limit in ({"most": ""}, {"most": "2", "fewest": "2"}, {"most": "1", "fewest": "1"}, {"most": ""}):
        changes = {f"multiple.{name}_marks": number for name, number in limit.items()}
        assert (await send(ada, FIRST, {**await form_of(ada, FIRST), **changes})).status == 303
    for changes in ({"method": "score"}, {"score.most_points": "10"}, {"method": "dots"}, {"method": "single"}):
        assert (await send(ada, FIRST, {**await form_of(ada, FIRST), **changes})).status == 303

    page = parse(await (await ada.get(f"{FIRST}/history")).text())

    assert [words(changes) for changes in find(page, "ul", class_="changes")] == [
        (
            "How to vote: from Points to spread to One answer Points of each voter: 10 removed "
            "Points at most on one choice: 10 removed"
        ),
        (
            "How to vote: from Scores to Points to spread Highest score: 10 removed Points of each voter: 10 "
            "Points at most on one choice: 10"
        ),
        "Highest score: from 5 to 10",
        "How to vote: from Several answers to Scores Answers at least: 1 removed Highest score: 5",
        "Answers at most: from 1 to no limit",
        "Answers at least: from 2 to 1 Answers at most: from 2 to 1",
        "Answers at least: from 1 to 2 Answers at most: from no limit to 2",
        "Answers at most: from 1 to no limit",
        "Description: One two",
    ]
    assert ["".join(text.itertext()) for text in find(page, "bdi", class_="lines")] == ["One\n\ntwo"]


async def test_settings_that_a_form_lacks_are_kept(ada: Client, create_poll: CreatePoll, database: Connection) -> None:
    create_poll("Tea?", "Yes", "No", settings=MULTIPLE)
    edition = (await form_of(ada, FIRST))["edition"]

    assert (await send(ada, FIRST, {**new_poll(), "edition": edition})).status == 303
    assert settings_in(database) == MULTIPLE
