"""Copying a poll: its texts and settings, neither votes nor dates of the past."""

from datetime import timedelta

import pytest

from polls.domain.settings import PollSettings
from polls.storage.postgres.connect import Connection
from tests.conftest import CreatePoll
from tests.support.pages import links, parse
from tests.web.conftest import Client
from tests.web.manage.test_how_to_vote import settings_in
from tests.web.manage.test_poll_form import ADD, FIRST, choices, form_of, polls, send


async def test_a_copy_has_texts_and_settings_without_votes(
    ada: Client, create_poll: CreatePoll, database: Connection
) -> None:
    settings = PollSettings("Which ones?", "multiple", fewest_marks=2, most_marks=None)
    create_poll("Tea?", "Yes", "No", settings=settings, closed=timedelta(hours=1))
    with database.cursor() as cursor:
        cursor.execute("UPDATE choice SET votes = 1")
    url = links(parse(await (await ada.get(FIRST)).text()))["Copy this poll"]

    form = await form_of(ada, url, ADD)
    assert (form["closes_date"], form["published_date"]) == ("", "")
    assert (await send(ada, ADD, form)).status == 303
    assert [text for text, *_ in polls(database)] == ["Tea?", "Tea?"]
    assert [(text, votes) for _, text, votes in choices(database, 2)] == [("Yes", 0), ("No", 0)]
    assert settings_in(database, 2) == settings


@pytest.mark.parametrize(("copied", "status"), [("99", 404), ("9" * 30, 200), ("x", 200), ("", 200)])
async def test_what_is_not_there_is_not_copied(ada: Client, copied: str, status: int) -> None:
    assert (await ada.get(f"{ADD}?copy={copied}")).status == status
