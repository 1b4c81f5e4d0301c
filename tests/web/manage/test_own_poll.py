"""The owner of a poll, who made it without an account: the access link, the page to manage it, and what it offers."""

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest

from polls.domain.access_keys import hash_of, new_key
from polls.domain.permissions import owner
from polls.domain.refused_words import RefusedWords
from polls.storage import editing, owners
from polls.storage.postgres.connect import Connection
from polls.web.keys import DATABASE
from polls.web.manage.own_poll import MAX_CHANGES, OWNER_RATE_LIMIT
from polls.web.manage.refused_words import REFUSED_WORDS
from tests.conftest import CreatePoll
from tests.support.pages import field_errors, fields, find, links, parse, words
from tests.web.conftest import Client
from tests.web.manage.conftest import EDIT, KEY, LINK, MANAGE, POLL, actors, heading, page_of, send

ADMINS = "/admin/polls/1"


async def run(browser: Client, url: str) -> Any:
    """Confirm the action at `url`, and return the next page."""
    sent = fields(await page_of(browser, url), url)
    response = await browser.post(url, data=sent)
    assert response.status == 200
    return parse(await response.text())


def message(page: Any) -> str:
    return " ".join(words(element) for element in find(page, "p", class_="flash"))


@pytest.mark.usefixtures("poll")
async def test_the_access_link_becomes_a_cookie_for_that_poll_only(client: Client) -> None:
    response = await client.get(LINK, allow_redirects=False)

    assert response.status == 303
    assert response.headers["Location"] == MANAGE
    assert response.headers["Cache-Control"] == "no-store"
    assert KEY not in await response.text()
    (cookie,) = [header for header in response.headers.getall("Set-Cookie") if KEY in header]
    assert cookie.startswith("polls_owner")
    assert f"={KEY}; HttpOnly; " in cookie
    assert f"Path={POLL}; SameSite=Lax" in cookie
    assert heading(await page_of(client, MANAGE)) == "Tea? Open"


@pytest.mark.usefixtures("poll")
async def test_a_key_typed_from_paper_is_understood(client: Client) -> None:
    response = await client.get(f"{POLL}/as/{KEY.upper().replace('0', 'O').replace('1', 'I')}")

    assert response.url.path == MANAGE
    assert response.status == 200


@pytest.mark.usefixtures("poll")
async def test_the_access_link_leads_to_the_poll_at_its_present_address(client: Client, database: Connection) -> None:
    with database.cursor() as cursor:
        cursor.execute("UPDATE question SET slug = 'team-lunch'")

    response = await client.get(LINK)

    assert response.url.path == "/poll/team-lunch/manage"
    assert response.status == 200


@pytest.mark.usefixtures("poll")
@pytest.mark.parametrize("key", ["z" * 26, KEY[:-1], "x", "%00", "%ff", "a" * 5000])
async def test_a_key_that_no_poll_has_opens_nothing(client: Client, key: str) -> None:
    response = await client.get(f"{POLL}/as/{key}", allow_redirects=False)

    assert response.status == 404
    assert "Set-Cookie" not in response.headers
    assert heading(parse(await response.text())) == "This link doesn't work"


@pytest.mark.usefixtures("poll")
@pytest.mark.parametrize("page", ["manage", "edit", "new-link", "close", "reopen", "clear", "delete"])
async def test_other_browsers_and_keys_can_do_nothing(browser: Client, page: str, database: Connection) -> None:
    url = f"{POLL}/{page}"
    for headers in ({}, {"Cookie": f"polls_owner_{browser.port}={new_key()}"}):
        response = await browser.get(url, headers=headers)
        assert response.status == 403
        assert "Open the access link that you kept" in await response.text()
        if page != "manage":
            assert (await browser.post(url, data={"confirmed": "yes"}, headers=headers)).status == 403
    assert actors(database) == []


async def test_the_key_of_one_poll_opens_no_other_one(
    owners_browser: Client, create_poll: CreatePoll, database: Connection
) -> None:
    create_poll("Coffee?", "Yes")
    headers = {"Cookie": f"polls_owner_{owners_browser.port}={KEY}"}

    response = await owners_browser.get("/poll/2/manage", headers=headers)
    assert (response.status, response.url.path) == (200, MANAGE), "it leads to its own"
    assert (await owners_browser.get("/poll/2/edit", headers=headers)).status == 404
    assert (await owners_browser.post("/poll/2/delete", headers=headers)).status == 404
    assert actors(database) == []


async def test_polls_of_admins_have_no_page_for_owners(client: Client, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes", votes=(1,))

    for path in ("/poll/1/manage", "/poll/1/edit", "/poll/2/manage", "/poll/nowhere/manage"):
        assert (await client.get(path)).status == 404


async def test_the_page_shows_results_and_what_the_owner_can_do(owners_browser: Client) -> None:
    page = await page_of(owners_browser, MANAGE)

    assert page.findtext(".//title") == "Manage: Tea? · Village hall"
    assert [words(row) for row in find(page, "span", class_="votes")] == ["2 votes", "1 vote"]
    offered = {name: url for name, url in links(page).items() if url.startswith(POLL + "/")}
    assert (
        offered.items()
        >= {
            "Edit": EDIT,
            "Close now": f"{POLL}/close",
            "Clear ballots": f"{POLL}/clear",
            "Delete this poll": f"{POLL}/delete",
            "New link": f"{POLL}/new-link",
        }.items()
    )
    assert not [url for url in links(page).values() if url.startswith("/admin")]
    assert KEY not in "".join(page.itertext())


async def test_the_polls_pages_link_to_it_for_the_owner_only(owners_browser: Client, browser: Client) -> None:
    for path in (POLL, f"{POLL}/results"):
        for _ in range(2):  # rendered, and from the cache
            assert links(await page_of(owners_browser, path))["Manage"] == MANAGE
            assert "Manage" not in links(await page_of(browser, path))
        assert "Admin" not in links(await page_of(owners_browser, path))


@pytest.mark.usefixtures("poll")
async def test_an_admin_sees_the_admins_links_on_it(ada: Client) -> None:
    page = links(await page_of(ada, POLL))

    assert page["Edit"] == "/admin/polls/1"
    assert "Manage" not in page


async def test_the_owner_edits_with_the_same_form_as_an_admin(owners_browser: Client, database: Connection) -> None:
    form = await page_of(owners_browser, EDIT)

    response = await send(owners_browser, EDIT, form, text="Tea or coffee?", description="For the meeting.")

    page = parse(await response.text())
    assert response.url.path == MANAGE
    assert message(page) == "The poll was saved."
    assert heading(page) == "Tea or coffee? Open"
    assert actors(database) == [("owner", "changed")]
    results = await page_of(owners_browser, f"{POLL}/results")
    assert "Edited on" in words(results.find(".//main"))


async def test_settings_that_become_the_defaults_keep_the_owner(owners_browser: Client) -> None:
    for description in ("For the meeting.", ""):
        response = await send(owners_browser, EDIT, await page_of(owners_browser, EDIT), description=description)
        assert (response.status, response.url.path) == (200, MANAGE)


async def test_choices_with_votes_are_removed_only_after_a_confirmation(
    owners_browser: Client, votes: Callable[[], list[int]]
) -> None:
    response = await send(owners_browser, EDIT, await page_of(owners_browser, EDIT), choice__1__remove="yes")

    page = parse(await response.text())
    assert response.status == 409
    assert votes() == [2, 1]

    await send(owners_browser, EDIT, page)
    assert votes() == [2]


async def test_whoever_saves_second_is_told(owners_browser: Client, ada: Client) -> None:
    admins, owners_form = await page_of(ada, ADMINS), await page_of(owners_browser, EDIT)

    first, second = await asyncio.gather(
        send(ada, ADMINS, admins, text="Tea today?"),
        send(owners_browser, EDIT, owners_form, text="Green tea?"),
    )

    assert sorted((first.status, second.status)) == [200, 409]
    told = await (first if first.status == 409 else second).text()
    assert "Someone else has changed this poll" in told
    assert "Tea today?" in told
    assert "Green tea?" in told


async def test_a_conflict_tells_the_owner_no_name_of_an_account(owners_browser: Client, ada: Client) -> None:
    form = await page_of(owners_browser, EDIT)
    await send(ada, ADMINS, await page_of(ada, ADMINS), text="Tea today?")

    response = await send(owners_browser, EDIT, form, text="Green tea?")

    page = parse(await response.text())
    assert response.status == 409
    assert "Administrator on" in words(page.find(".//main"))
    assert "ada" not in words(page.find(".//main")).split()


async def test_the_owner_closes_reopens_and_clears(owners_browser: Client, database: Connection) -> None:
    for action, said, state in [
        ("close", "The poll is closed now.", "Closed"),
        ("reopen", "The poll is open again.", "Open"),
        ("clear", "All ballots were deleted.", "Open"),
    ]:
        page = await run(owners_browser, f"{POLL}/{action}")
        assert message(page) == said
        assert heading(page) == f"Tea? {state}"
        assert message(await page_of(owners_browser, MANAGE)) == "", "it is said once"
    assert actors(database) == [("owner", "closed"), ("owner", "reopened"), ("owner", "cleared")]


async def test_the_owner_deletes_the_poll_after_one_question(owners_browser: Client, database: Connection) -> None:
    page = await run(owners_browser, f"{POLL}/delete")

    assert heading(page) == "Poll deleted"
    for path in (POLL, MANAGE, LINK):
        assert (await owners_browser.get(path)).status == 404
    assert actors(database) == [("owner", "deleted")]


async def test_the_history_says_owner(owners_browser: Client, ada: Client) -> None:
    await run(owners_browser, f"{POLL}/close")

    page = await page_of(ada, "/admin/polls/1/history")

    (entry,) = find(page, "li", class_="card")
    assert "· Owner Closed" in words(entry)


async def test_a_new_link_is_shown_once_and_replaces_the_old_one(
    owners_browser: Client, browser: Client, database: Connection
) -> None:
    page = await run(owners_browser, f"{POLL}/new-link")

    (shown,) = find(page, "p", class_="share-url")[:1]
    link = words(shown)
    assert re.fullmatch(rf"http://127\.0\.0\.1:\d+{POLL}/as/[0-9a-z]{{26}}", link)
    assert KEY not in link
    assert find(page, "div", role="img")
    assert [url for url in links(page).values() if url.startswith("mailto:?") and link[-26:] in url]
    assert link[-26:] not in await (await owners_browser.get(MANAGE)).text(), "shown once"
    assert (await browser.get(LINK)).status == 404, "the old link"
    assert (await browser.get(link.partition(str(browser.port))[2])).status == 200
    assert actors(database) == [("owner", "key replaced")]


async def test_a_hidden_polls_owner_is_told(owners_browser: Client, browser: Client, database: Connection) -> None:
    with database.cursor() as cursor:
        cursor.execute("UPDATE question SET hidden_at = now()")

    page = await page_of(owners_browser, MANAGE)

    assert "took this poll down on" in message(page)
    assert (await browser.get(POLL)).status == 410


async def test_a_scheduled_poll_is_seen_by_its_owner_only(
    owners_browser: Client, browser: Client, database: Connection
) -> None:
    with database.cursor() as cursor:
        cursor.execute("UPDATE question SET pub_date = now() + interval '1 day'")

    assert heading(await page_of(owners_browser, MANAGE)) == "Tea? Scheduled"
    assert (await owners_browser.get(POLL)).status == 200
    assert (await browser.get(POLL)).status == 404


async def test_a_form_in_flight_when_the_key_is_replaced_saves_nothing(
    owners_browser: Client, database: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    form, change = await page_of(owners_browser, EDIT), editing.change

    async def replace_and_change(*arguments: Any, **options: Any) -> None:
        assert owners_browser.app
        await owners.replace_key(owners_browser.app[DATABASE], owner(KEY), 1, hash_of(new_key()))
        await change(*arguments, **options)

    monkeypatch.setattr(editing, "change", replace_and_change)
    response = await send(owners_browser, EDIT, form, text="Green tea?")

    assert response.status == 403
    assert actors(database) == [("owner", "key replaced")]


async def test_of_many_new_links_at_once_one_is_made(owners_browser: Client, database: Connection) -> None:
    answers = await asyncio.gather(
        *(owners_browser.post(f"{POLL}/new-link", allow_redirects=False) for _ in range(8)),
        owners_browser.post(f"{POLL}/close", allow_redirects=False),
    )

    assert sorted(answer.status for answer in answers[:8]) == [303] + [403] * 7
    assert sorted(deed for _, deed in actors(database)) in (["key replaced"], ["closed", "key replaced"])


@pytest.mark.parametrize("page", ["close", "new-link", "edit"])
async def test_changes_of_a_poll_by_its_owner_are_limited(
    owners_browser: Client, ada: Client, database: Connection, page: str
) -> None:
    form = await page_of(owners_browser, EDIT)
    for change in range(MAX_CHANGES):
        assert owners_browser.app
        owners_browser.app[OWNER_RATE_LIMIT].check(KEY, str(change))

    response = (
        await send(owners_browser, f"{POLL}/{page}", form)
        if page == "edit"
        else (await owners_browser.post(f"{POLL}/{page}"))
    )

    assert response.status == 429
    assert 0 < int(response.headers["Retry-After"]) <= 3600
    assert [deed for actor, deed in actors(database) if actor == "owner"] == []
    assert (await owners_browser.get(MANAGE)).status == 200
    assert (await ada.post("/admin/polls/1/close")).status == 200, "admins have no limit"


async def test_the_owner_cannot_write_refused_words_into_the_poll(
    owners_browser: Client, ada: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert owners_browser.app
    monkeypatch.setattr(owners_browser.app[REFUSED_WORDS], "find_in", RefusedWords(["casino"]).find_in)

    form = await page_of(owners_browser, EDIT)
    response = await send(owners_browser, EDIT, form, text="CASINO?", choice__0__text="Yes, ｃａｓｉｎｏ")

    page = parse(await response.text())
    assert response.status == 400
    assert field_errors(page).keys() == {"text", "choice.0"}
    assert fields(page, EDIT)["text"] == "CASINO?"
    saved = await send(ada, ADMINS, await page_of(ada, ADMINS), text="Casino?")
    assert saved.status == 200, "admins may"
