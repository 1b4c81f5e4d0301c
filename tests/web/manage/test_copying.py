"""Copying a poll: its texts and settings, neither votes nor dates of the past."""

from datetime import timedelta

import pytest

from polls.config.settings import Creating
from polls.domain.settings import PollSettings
from polls.storage.postgres.connect import Connection
from tests.conftest import CreatePoll
from tests.support.pages import fields, links, parse
from tests.web.conftest import Client, Serve
from tests.web.manage.conftest import LINK, MANAGE
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


@pytest.fixture
async def asker(serve: Serve) -> Client:
    """A browser at a site where anyone may ask."""
    return await serve(creating=Creating(who="anyone"))


async def test_visitors_copy_a_poll_at_its_address_without_votes(
    asker: Client, create_poll: CreatePoll, database: Connection
) -> None:
    settings = PollSettings("Which <ones>?", "multiple", fewest_marks=2, most_marks=None)
    create_poll("Tea?", "Yes", "No", settings=settings, closed=timedelta(hours=1), slug="k7m2q9xdtb")

    page = parse(await (await asker.get("/ask?copy=k7m2q9xdtb")).text())

    sent = fields(page, "/ask")
    assert (sent["text"], sent["closes_date"]) == ("Tea?", "")
    assert [url for url in links(page).values() if url.endswith("?next=/ask?copy%3Dk7m2q9xdtb")]
    await asker.post("/ask", data={**sent, "do": "save"}, allow_redirects=False)
    assert [(text, votes) for _, text, votes in choices(database, 2)] == [("Yes", 0), ("No", 0)]
    assert settings_in(database, 2) == settings


async def test_an_owner_is_led_to_the_form_of_a_copy(asker: Client, poll: None, database: Connection) -> None:  # noqa: ARG001
    page = parse(await (await asker.get(LINK)).text())
    assert links(page)["Copy this poll"] == "/ask?copy=k7m2q9xdtb"

    with database.cursor() as cursor:
        cursor.execute("UPDATE question SET pub_date = now() + interval '1 day'")
    assert "Copy this poll" not in links(parse(await (await asker.get(MANAGE)).text()))


@pytest.mark.usefixtures("poll")
@pytest.mark.parametrize(
    ("change", "slug", "status"),
    [
        ("hidden_at = now()", "k7m2q9xdtb", 410),
        ("pub_date = now() + interval '1 day'", "k7m2q9xdtb", 404),
        ("is_listed = false", "1", 404),
        ("is_listed = false", "nowhere", 404),
        ("is_listed = false", "%00", 404),
        ("is_listed = false", "9999999999", 404),
        ("is_listed = false", "", 200),
    ],
)
async def test_visitors_copy_only_what_all_may_see(
    asker: Client, database: Connection, change: str, slug: str, status: int
) -> None:
    await asker.get(LINK)
    with database.cursor() as cursor:
        cursor.execute(f"UPDATE question SET {change}")

    response = await asker.get(f"/ask?copy={slug}")

    assert response.status == status
    assert "Tea?" not in await response.text() or status == 200


async def test_where_only_admins_ask_nothing_is_copied(client: Client, poll: None) -> None:  # noqa: ARG001
    assert (await client.get("/ask?copy=k7m2q9xdtb")).status == 403
    assert "Copy this poll" not in links(parse(await (await client.get(LINK)).text()))
