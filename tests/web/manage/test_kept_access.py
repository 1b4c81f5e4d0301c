"""Owners keep their access and what they typed: in other browsers, with a new link, at a new address of the poll."""

from collections.abc import Callable
from http.cookies import SimpleCookie
from typing import Any

import pytest

from polls.config.settings import Creating
from polls.storage.postgres.connect import Connection
from polls.web.manage.own_poll import MAX_CHANGES, OWNER_RATE_LIMIT
from tests.conftest import CaughtUp
from tests.support.pages import fields, find, links, parse, words
from tests.web.conftest import Client, Serve
from tests.web.manage.conftest import EDIT, KEY, LINK, MANAGE, POLL, actors, heading, page_of, send

ADMINS = "/admin/polls/1"
ASK = "/ask"
CAKE = {"choice.0.text": "Yes", "choice.1.text": "No", "do": "save"}
TYPED = {"text": "Green <tea>?", "description": "First line.\r\nSecond line.", "choice.1.text": "No & never"}


async def replace_key(browser: Client) -> str:
    """Make a new access link, and return its path."""
    page = parse(await (await browser.post(f"{POLL}/new-link")).text())
    return words(find(page, "p", class_="share-url")[0]).partition(str(browser.port))[2]


def rename(database: Connection, slug: str) -> None:
    with database.cursor() as cursor:
        cursor.execute("UPDATE question SET slug = %s WHERE id = 1", (slug,))


def question(database: Connection) -> str:
    with database.cursor() as cursor:
        cursor.execute("SELECT question_text FROM question WHERE id = 1")
        ((text,),) = cursor.fetchall()
    return str(text)


@pytest.mark.usefixtures("poll")
async def test_an_admin_is_led_to_the_admins_page_of_the_poll(ada: Client, browser: Client) -> None:
    response = await ada.get(MANAGE, allow_redirects=False)

    assert (response.status, response.headers["Location"]) == (303, "/admin/polls/1")
    assert (await ada.get("/poll/nowhere/manage")).status == 404
    assert (await browser.get(MANAGE)).status == 403


async def test_an_admin_who_has_the_link_manages_as_the_owner(ada: Client, poll: None) -> None:  # noqa: ARG001
    assert (await ada.get(LINK)).url.path == MANAGE


async def test_a_form_sent_with_a_replaced_key_is_kept_and_sent_again_with_the_new_one(
    owners_browser: Client, browser: Client, database: Connection
) -> None:
    await browser.get(LINK)
    form = await page_of(owners_browser, EDIT)
    link = await replace_key(browser)

    refused = await send(owners_browser, EDIT, form, **TYPED)

    page = parse(await refused.text())
    assert (refused.status, refused.headers["Cache-Control"]) == (403, "no-store")
    assert heading(page) == "Your changes aren't saved"
    assert "Open the poll's present access link in another tab" in words(page.find(".//main"))
    (shown,) = find(page, "div", class_="not-saved")
    assert words(shown) == "Question Green <tea>? Description First line. Second line. Choices Yes No & never"
    assert (question(database), [deed for _, deed in actors(database)]) == ("Tea?", ["key replaced"])

    await owners_browser.get(link)
    told = await owners_browser.post(EDIT, data={**fields(page, EDIT), "do": "save"})
    assert told.status == 409, "the new link is a change that the form didn't know"
    saved = await owners_browser.post(EDIT, data={**fields(parse(await told.text()), EDIT), "do": "save"})
    assert (saved.status, saved.url.path) == (200, MANAGE)
    now = fields(await page_of(owners_browser, EDIT), EDIT)
    assert now["description"].split() == TYPED["description"].split()
    assert (now["text"], now["choice.1.text"]) == (TYPED["text"], TYPED["choice.1.text"])


@pytest.mark.usefixtures("poll")
async def test_a_form_without_a_key_is_answered_from_itself_alone(browser: Client, database: Connection) -> None:
    with database.cursor() as cursor:
        cursor.execute("UPDATE question SET pub_date = now() + interval '1 day', question_text = 'Secret?'")

    response = await browser.post(EDIT, data={"text": "Coffee?", "x": '"><script>'})

    page = await response.text()
    assert response.status == 403
    assert "Coffee?" in page
    assert "Secret?" not in page
    assert dict(fields(parse(page), EDIT)) == {"text": "Coffee?", "x": '"><script>'}


async def test_a_change_too_many_keeps_what_was_typed(owners_browser: Client) -> None:
    form = await page_of(owners_browser, EDIT)
    for change in range(MAX_CHANGES):
        assert owners_browser.app
        owners_browser.app[OWNER_RATE_LIMIT].check(KEY, str(change))

    response = await send(owners_browser, EDIT, form, text="Green tea?")

    assert response.status == 429
    assert fields(parse(await response.text()), EDIT)["text"] == "Green tea?"


@pytest.fixture
async def asker(serve: Serve, poll: None) -> Client:  # noqa: ARG001 - the link is the poll's
    """A browser that has asked three polls, at a site where anyone may ask."""
    browser = await serve(creating=Creating(who="anyone"))
    for number in range(3):
        await browser.post(ASK, data={**CAKE, "text": f"Cake {number}?"}, allow_redirects=False)
    return browser


async def your_polls(browser: Client) -> dict[str, str]:
    """Return {text of a link: its URL} in the list of polls that the browser has asked or opened."""
    (section,) = find(await page_of(browser, ASK), "section", class_="your-polls")
    return links(section)


async def test_a_browser_finds_the_polls_whose_links_it_opened(asker: Client) -> None:
    response = await asker.get(LINK, allow_redirects=False)

    assert len([cookie for cookie in response.headers.getall("Set-Cookie") if "; Path=/ask; " in cookie]) == 1
    assert list(await your_polls(asker)) == ["Tea?", "Cake 2?", "Cake 1?", "Cake 0?"]


async def test_it_finds_the_latest_twenty_and_forgets_the_others(asker: Client) -> None:
    older = SimpleCookie()
    for number in range(30):
        older.load(f"polls_asked-older{number}_{asker.port}={number}; Path=/ask")
    asker.session.cookie_jar.update_cookies(older, asker.make_url(ASK))

    listed = list(await your_polls(asker))

    assert listed[:4] == ["Cake 2?", "Cake 1?", "Cake 0?", "/poll/older29/manage"]
    assert len(listed) == 20
    kept = asker.session.cookie_jar.filter_cookies(asker.make_url(ASK))
    assert len([name for name in kept if name.startswith("polls_asked")]) == 20


async def test_a_poll_that_its_owner_deletes_is_forgotten(asker: Client) -> None:
    await asker.get(LINK)
    await asker.post(f"{POLL}/delete", data={"confirmed": "yes"})

    assert list(await your_polls(asker)) == ["Cake 2?", "Cake 1?", "Cake 0?"]


async def give_slug(admin: Client, slug: str) -> Any:
    """Give the poll another slug in the admin's form, and return what the form says about that."""
    form = await page_of(admin, ADMINS)
    response = await send(admin, ADMINS, form, slug=slug)
    assert response.url.path == "/admin/"
    (hint,) = find(form, "p", id="hint-slug")
    return words(hint)


async def test_an_owner_keeps_access_when_an_admin_changes_the_address(
    owners_browser: Client, browser: Client, ada: Client, caught_up: CaughtUp
) -> None:
    hint = await give_slug(ada, "team-lunch")
    await caught_up(ada)

    assert hint.endswith("The owner's access link keeps working.")
    assert (await browser.get(MANAGE)).status == 404
    for address in (MANAGE, "/poll/team-lunch/manage", LINK):
        response = await owners_browser.get(address)
        assert (response.status, response.url.path) == (200, "/poll/team-lunch/manage")
    assert list(await your_polls(owners_browser)) == ["Tea?", MANAGE]


@pytest.mark.usefixtures("poll")
async def test_voters_have_one_vote_when_an_admin_changes_the_address(
    client: Client, ada: Client, caught_up: CaughtUp, votes: Callable[[], list[int]]
) -> None:
    await client.post(f"{POLL}/vote", data={"choice": "1"})
    assert votes() == [3, 1]

    hint = await give_slug(ada, "team-lunch")
    await caught_up(ada)

    assert "Voters keep their one vote" in hint
    assert (await client.post(f"{POLL}/vote", data={"choice": "2"})).status == 404
    assert (await client.post("/poll/team-lunch/vote", data={"choice": "2"})).status == 200
    assert votes() == [2, 2]
