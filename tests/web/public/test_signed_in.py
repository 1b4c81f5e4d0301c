"""Public pages of those who are signed in link to the admin; those of all others stay the same."""

from time import monotonic

import pytest

from polls.storage import sessions
from polls.storage.postgres.connect import Connection
from tests.conftest import CreatePoll
from tests.support.pages import links, parse
from tests.web.conftest import Client

PAGES = ["/", "/poll/1", "/poll/1/results"]


@pytest.fixture(autouse=True)
def poll(create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes", "No")


async def links_of(browser: Client, url: str) -> dict[str, str]:
    return links(parse(await (await browser.get(url)).text()))


@pytest.mark.parametrize("url", PAGES)
async def test_an_admin_is_led_to_the_admin_and_from_a_poll_to_its_form(ada: Client, url: str) -> None:
    found = await links_of(ada, url)

    assert found["Admin"] == "/admin/"
    assert found.get("Edit") == (None if url == "/" else "/admin/polls/1")
    assert "Sign in" not in found


@pytest.mark.parametrize("url", PAGES)
async def test_the_page_of_an_admin_is_kept_from_caches_and_from_others(ada: Client, client: Client, url: str) -> None:
    before = await (await client.get(url)).read()

    assert (await ada.get(url)).headers["Cache-Control"] == "private, no-cache"

    assert await (await client.get(url)).read() == before
    assert b"/admin/login" in before
    assert b"Edit" not in before


async def test_after_signing_out_the_links_are_gone(ada: Client) -> None:
    await ada.get("/poll/1")
    await ada.post("/admin/logout")

    assert (await links_of(ada, "/poll/1"))["Sign in"] == "/admin/login"


async def test_made_up_sessions_get_the_page_of_all_and_cost_few_queries(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookups = []
    find = sessions.find

    async def count(database: object, token: str) -> object:
        lookups.append(token)
        return await find(database, token)  # type: ignore[arg-type]

    monkeypatch.setattr(sessions, "find", count)
    page = await (await client.get("/poll/1")).read()
    started = monotonic()

    for number in range(100):
        cookie = f"polls_session_{client.port}={number:043}"
        response = await client.get("/poll/1", headers={"Cookie": cookie})
        assert await response.read() == page

    assert len(lookups) <= 20 * (monotonic() - started + 1)


async def test_an_admin_of_an_empty_site_is_invited_to_add_a_poll(ada: Client, database: Connection) -> None:
    with database.cursor() as cursor:
        cursor.execute("DELETE FROM question")

    assert (await links_of(ada, "/"))["Add a poll"] == "/admin/polls/add"
