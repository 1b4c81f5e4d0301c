"""Preview: an admin sees unpublished polls at their public URLs, other visitors don't."""

from datetime import timedelta

import pytest

from polls.storage.postgres.connect import Connection
from tests.conftest import CreatePoll
from tests.support.pages import find, parse, words
from tests.web.conftest import Client

PAGES = ["/poll/1", "/poll/1/results", "/poll/1/present"]


@pytest.fixture
def scheduled(create_poll: CreatePoll) -> None:
    create_poll("Next year?", "Yes", "No", ago=-timedelta(days=30))


@pytest.mark.usefixtures("scheduled")
@pytest.mark.parametrize("url", PAGES)
async def test_an_admin_sees_a_scheduled_poll_marked_as_not_public(ada: Client, url: str) -> None:
    response = await ada.get(url)

    page = parse(await response.text())
    assert response.status == 200
    assert "no-store" in response.headers["Cache-Control"]
    assert words(find(page, "p", class_="note")[0]).startswith("Preview: this poll will be published on")
    assert not [script for script in find(page, "script") if "live-results" in script.get("src", "")]


@pytest.mark.usefixtures("scheduled")
@pytest.mark.parametrize("url", PAGES)
async def test_other_visitors_do_not_see_it_even_after_an_admin_has(
    ada: Client, client: Client, database: Connection, url: str
) -> None:
    page = await ada.get(url)
    visitors = {
        "no session": {},
        "made-up session": {"Cookie": f"polls_session_{client.port}={'A' * 43}"},
        "known ETag": {"If-None-Match": page.headers.get("ETag", "*")},
    }

    for headers in visitors.values():
        assert (await client.get(url, headers=headers)).status == 404
    with database.cursor() as cursor:
        cursor.execute("DELETE FROM session")
    assert (await ada.get(url)).status == 404


@pytest.mark.usefixtures("scheduled")
async def test_a_preview_takes_no_votes(ada: Client) -> None:
    page = parse(await (await ada.get("/poll/1")).text())
    (button,) = page.iter("button")
    assert "disabled" in button.attrib

    assert (await ada.post("/poll/1/vote", data={"choice": "1"})).status == 404


async def test_a_poll_without_choices_can_be_previewed(ada: Client, client: Client, create_poll: CreatePoll) -> None:
    create_poll("Nothing to choose?")

    page = parse(await (await ada.get("/poll/1")).text())

    assert words(find(page, "p", class_="note")[0]) == "Preview: this poll isn't public because it has no choices."
    assert (await client.get("/poll/1")).status == 404


@pytest.mark.usefixtures("scheduled")
async def test_scheduled_polls_are_in_no_public_list(ada: Client) -> None:
    assert "Next year?" not in await (await ada.get("/")).text()


async def test_public_pages_do_not_query_sessions_without_the_cookie(
    client: Client, create_poll: CreatePoll, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_poll("Tea?", "Yes", "No")
    queries = []
    monkeypatch.setattr("polls.web.pages.session.sessions.find", lambda *_: queries.append(True))

    for url in ("/", "/poll/1", "/poll/1/results", "/nowhere"):
        await client.get(url)

    assert queries == []
