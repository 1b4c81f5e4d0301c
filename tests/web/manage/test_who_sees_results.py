"""Who sees the results, in the form of a poll and in its history."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from polls.domain.settings import DEFAULT_SETTINGS, PollSettings, Results
from polls.storage.postgres.connect import Connection
from tests.conftest import CreatePoll
from tests.support.pages import field_errors, fields, find, parse, words
from tests.web.conftest import Client
from tests.web.manage.test_how_to_vote import settings_in
from tests.web.manage.test_poll_form import ADD, FIRST, form_of, new_poll, send

SEALED = PollSettings(results=Results.AFTER_CLOSE, is_sealed=True)


@pytest.mark.parametrize(
    ("typed", "settings", "summary"),
    [
        ({}, DEFAULT_SETTINGS, "Everyone, at any time"),
        (
            {"results": "after_vote", "sealed": "owner"},
            PollSettings(results=Results.AFTER_VOTE),
            "Voters, after voting",
        ),
        (
            {"results": "after_close", "results_from": " 20 ", "sealed": "after_close"},
            PollSettings(results=Results.AFTER_CLOSE, results_from=20, is_sealed=True),
            "Everyone, after the end · from 20 votes on · sealed",
        ),
        (
            {"results": "owner", "sealed": "after_close", "method": "multiple"},
            PollSettings(method="multiple", most_marks=None, results=Results.OWNER),
            "Only the owner",
        ),
    ],
)
async def test_the_form_stores_and_shows_who_sees_the_results(
    ada: Client, database: Connection, typed: dict[str, str], settings: PollSettings, summary: str
) -> None:
    form = {**await form_of(ada, ADD), **new_poll("Yes", "No"), **typed}

    assert (await send(ada, ADD, form)).status == 303
    assert settings_in(database) == settings
    page = parse(await (await ada.get(FIRST)).text())
    (folded,) = find(page, "details", class_="who-sees")
    assert words(find(folded, "span", class_="folded-summary")[0]) == summary
    assert (await send(ada, FIRST, fields(page, FIRST))).status == 303
    assert settings_in(database) == settings


@pytest.mark.parametrize(
    ("typed", "errors"),
    [
        ({"results": "nobody"}, {"results": "Choose who sees the results."}),
        ({"results_from": "1"}, {"results_from": "Enter a number from 2 to 1,000,000."}),
        ({"results_from": "1000001"}, {"results_from": "Enter a number from 2 to 1,000,000."}),
    ],
)
async def test_each_error_is_shown_at_its_field(ada: Client, typed: dict[str, str], errors: dict[str, str]) -> None:
    response = await send(ada, ADD, {**await form_of(ada, ADD), **new_poll("Yes", "No"), **typed})

    assert response.status == 400
    assert field_errors(parse(await response.text())) == errors


async def test_what_is_sealed_cannot_change_with_ballots(
    ada: Client, create_poll: CreatePoll, database: Connection
) -> None:
    create_poll("Tea?", "Yes", "No", votes=(1, 0), closed=timedelta(), settings=SEALED)
    form = dict(await form_of(ada, FIRST))
    assert not {"results", "results_from", "sealed"} & form.keys()  # disabled

    async def errors(**sent: Any) -> dict[str, str]:
        response = await send(ada, FIRST, form | sent)
        assert response.status == 409
        return field_errors(parse(await response.text()))

    assert await errors(results="always") == {
        "results": "The results are sealed, and there are ballots: this can't change."
    }
    assert await errors(closes_date="", closes_time="") == {
        "closes": "The results are sealed: the poll can't be reopened. Clear the ballots first."
    }
    assert (await send(ada, FIRST, form | {"text": "Coffee?"})).status == 303
    assert settings_in(database) == SEALED


async def test_the_history_says_who_saw_the_results(ada: Client, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes", "No", settings=PollSettings(results=Results.AFTER_VOTE, results_from=5))

    for change in ({"results": "after_close", "sealed": "after_close"}, {"results": "always", "results_from": ""}):
        assert (await send(ada, FIRST, {**await form_of(ada, FIRST), "sealed": "", **change})).status == 303

    page = parse(await (await ada.get("/admin/polls/1/history")).text())
    assert [words(line) for changes in find(page, "ul", class_="changes") for line in find(changes, "li")] == [
        "Who sees the results: from Everyone, after the end to Everyone, at any time",
        "Votes needed: from 5 to 0",
        "Results sealed until the end: from yes to no",
        "Who sees the results: from Voters, after voting to Everyone, after the end",
        "Results sealed until the end: yes",
    ]


@pytest.mark.parametrize(
    "settings", [SEALED, PollSettings(results_from=20), replace(SEALED, method="multiple", most_marks=None)]
)
async def test_the_form_tells_no_votes_that_are_hidden_from_the_owner(
    ada: Client, create_poll: CreatePoll, settings: PollSettings
) -> None:
    create_poll("Tea?", "Yes", "No", "Perhaps", votes=(3, 1, 0), settings=settings)
    page = await (await ada.get(FIRST)).text()
    assert not find(parse(page), "span", class_="votes")
    form = dict(await form_of(ada, FIRST))

    for number in ("0", "2"):  # with and without votes
        response = await send(ada, FIRST, form | {f"choice.{number}.remove": "yes"})
        assert response.status == 409
        refused = parse(await response.text())
        assert not find(refused, "span", class_="votes")
        assert field_errors(refused) == {
            f"choice.{number}": "The results are hidden, and removing this choice would tell some. "
            "Untick “Remove”, or clear the ballots first."
        }


async def test_choices_without_ballots_are_removed_also_if_the_results_are_hidden(
    ada: Client, create_poll: CreatePoll
) -> None:
    create_poll("Tea?", "Yes", "No", "Perhaps", settings=SEALED)

    form = dict(await form_of(ada, FIRST))
    assert (await send(ada, FIRST, form | {"choice.2.remove": "yes"})).status == 303
    assert "choice.2.id" not in await form_of(ada, FIRST)
