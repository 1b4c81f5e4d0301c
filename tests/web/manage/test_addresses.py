"""The custom slug of a poll in the admin's form: the poll is at it instead of its id."""

from typing import Any

import pytest

from polls.storage.postgres.connect import Connection
from tests.conftest import CaughtUp, CreatePoll
from tests.support.pages import field_errors, fields, find, links, parse, words
from tests.web.conftest import Client

FORM = "/admin/polls/1"


async def save(browser: Client, url: str = FORM, **typed: str) -> Any:
    page = parse(await (await browser.get(url)).text())
    action = next(form for form in page.iter("form") if "data-poll-form" in form.attrib).get("action", "")
    sent = fields(page, action)
    sent.update({"do": "save", **typed})
    return parse(await (await browser.post(action, data=sent)).text())


def slugs(database: Connection) -> list[str | None]:
    with database.cursor() as cursor:
        cursor.execute("SELECT slug FROM question ORDER BY id")
        return [slug for (slug,) in cursor.fetchall()]


def changes(database: Connection) -> list[Any]:
    with database.cursor() as cursor:
        cursor.execute("SELECT changes FROM history WHERE deed = 'changed' ORDER BY id")
        return [change for (listed,) in cursor.fetchall() for change in listed]


async def test_a_poll_gets_a_word_and_gives_it_up_again(
    ada: Client, client: Client, create_poll: CreatePoll, database: Connection, caught_up: CaughtUp
) -> None:
    create_poll("Tea?", "Yes")

    saved = await save(ada, slug=" Team-Lunch ")

    assert links(saved)["View on site"] == "/poll/team-lunch"
    await caught_up(client)
    assert [(await client.get(f"/poll/{slug}")).status for slug in ("team-lunch", "1")] == [200, 404]
    await save(ada, slug="")
    await caught_up(client)
    assert [(await client.get(f"/poll/{slug}")).status for slug in ("team-lunch", "1")] == [404, 200]
    assert changes(database) == [["address", None, "team-lunch"], ["address", "team-lunch", None]]


async def test_a_poll_is_added_with_a_word_and_shared_at_it(ada: Client, database: Connection) -> None:
    added = await save(ada, "/admin/polls/add", text="Tea?", slug="team-lunch", **{"choice.0.text": "Yes"})

    assert slugs(database) == ["team-lunch"]
    assert links(added)["View on site"] == "/poll/team-lunch"
    assert "/poll/team-lunch" in words(find(added, "div", class_="flash")[0])


@pytest.mark.parametrize(
    ("typed", "error"),
    [
        ("ab", "Use 3 to 40 letters from a to z, digits and hyphens. Begin with a letter."),
        ("1st-lunch", "Use 3 to 40 letters from a to z, digits and hyphens. Begin with a letter."),
        ("team lunch", "Use 3 to 40 letters from a to z, digits and hyphens. Begin with a letter."),
        ("a" * 41, "Use 3 to 40 letters from a to z, digits and hyphens. Begin with a letter."),
        ("午餐午餐", "Use 3 to 40 letters from a to z, digits and hyphens. Begin with a letter."),
        ("taken", "Another poll has this address. Choose another one."),
    ],
)
async def test_what_is_no_word_or_another_polls_is_refused(
    ada: Client, create_poll: CreatePoll, database: Connection, typed: str, error: str
) -> None:
    create_poll("Tea?", "Yes")
    create_poll("Cake?", "Yes", slug="taken", is_listed=True)

    page = await save(ada, slug=typed, text="Coffee?")

    assert field_errors(page) == {"slug": error}
    assert fields(page, FORM)["slug"] == typed
    assert fields(page, FORM)["text"] == "Coffee?"
    assert slugs(database) == [None, "taken"]


async def test_an_unlisted_poll_keeps_a_slug(ada: Client, create_poll: CreatePoll, database: Connection) -> None:
    create_poll("Tea?", "Yes", slug="k7m2q9xdtb")

    page = await save(ada, slug="")

    assert field_errors(page) == {"slug": "A poll that isn't listed needs an address of its own."}
    assert slugs(database) == ["k7m2q9xdtb"]


async def test_a_copy_has_no_slug(ada: Client, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes", slug="team-lunch", is_listed=True)

    page = parse(await (await ada.get("/admin/polls/add?copy=1")).text())

    assert [element.get("value") for element in find(page, "input", name="slug")] == [""]
