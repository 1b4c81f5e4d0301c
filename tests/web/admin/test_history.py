"""History: the person, the time, and the old and new values of each change."""

from typing import Any

import pytest

from polls.storage.postgres.connect import Connection
from tests.conftest import CreatePoll
from tests.support.pages import fields, find, links, parse, words
from tests.web.conftest import PASSWORD, Client, SignIn

FIRST = "/admin/polls/1"


async def entries(browser: Client, url: str) -> list[str]:
    """Return the text of each entry, without its time."""
    response = await browser.get(url)
    assert response.status == 200
    listed = [words(entry) for entry in find(parse(await response.text()), "li", class_="card")]
    return [entry.partition(" · ")[2] for entry in listed]


async def edit(browser: Client, **changes: str) -> None:
    form = fields(parse(await (await browser.get(FIRST)).text()), FIRST)
    response = await browser.post(FIRST, data={**form, **changes}, allow_redirects=False)
    assert response.status == 303


async def test_the_history_of_a_poll_has_persons_and_old_and_new_values(
    ada: Client, bob: Client, create_poll: CreatePoll
) -> None:
    create_poll("Tea?", "Yse", "No", "Perhaps")
    await edit(ada, text="Green tea?", **{"choice.0.text": "Yes", "choice.3.text": "Never", "choice.2.remove": "yes"})
    await edit(bob, closes_date="2099-05-03", closes_time="18:00", **{"choice.0.position": "9"})
    await bob.post("/admin/polls/selected", data={"do": "close", "poll": "1", "confirmed": "yes"})

    listed = await entries(ada, "/admin/polls/1/history")

    assert listed[0].startswith("bob Closed Closes: from 3 May 2099, 18:00 UTC to ")
    assert listed[1:] == [
        "bob Changed Closes: 3 May 2099, 18:00 UTC Order: from “Yes, No, Never” to “No, Never, Yes”",
        (
            "ada Changed Question: from “Tea?” to “Green tea?” Choice: from “Yse” to “Yes” "
            "Choice: “Perhaps” removed Choice: “Never”"
        ),
    ]


async def test_votes_removed_with_a_choice_are_in_the_history(ada: Client, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes", "No", votes=(2, 12))

    await edit(ada, **{"choice.1.remove": "yes", "confirmed": "2"})

    assert await entries(ada, "/admin/polls/1/history") == ["ada Changed Ballots: from 14 to 2 Choice: “No” removed"]


async def test_the_whole_history_links_to_each_poll(ada: Client, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes")
    await edit(ada, text="Coffee?")

    page = parse(await (await ada.get("/admin/history")).text())

    assert links(page)["Coffee?"] == "/admin/polls/1/history"
    listed = await entries(ada, "/admin/history")
    assert listed == [
        "ada Changed Coffee? Question: from “Tea?” to “Coffee?”",
        "ada Signed in ada",
        "Command line Account added ada",
    ]


async def test_the_account_page_lists_sign_ins(ada: Client, bob: Client, sign_in: SignIn) -> None:
    await sign_in("ada")

    assert await entries(ada, "/admin/account") == [
        "ada Signed in",
        "ada Signed in",
        "Command line Account added",
    ]
    assert len(await entries(bob, "/admin/account")) == 2


async def test_refused_changes_are_not_recorded(ada: Client, create_poll: CreatePoll, database: Connection) -> None:
    create_poll("Tea?", "Yes", "No", votes=(2, 1))
    form = fields(parse(await (await ada.get(FIRST)).text()), FIRST)
    for changes in ({"text": ""}, {"edition": "0"}, {"choice.0.remove": "yes"}):
        await ada.post(FIRST, data={**form, **changes})
    await ada.post("/admin/login", data={"username": "ada", "password": "wrong horse"})

    with database.cursor() as cursor:
        cursor.execute("SELECT deed FROM history ORDER BY id")
        assert [deed for (deed,) in cursor.fetchall()] == ["account added", "signed in"]


async def test_a_change_fails_if_its_history_cannot_be_written(
    ada: Client, create_poll: CreatePoll, database: Connection
) -> None:
    """Both are written in one transaction."""
    create_poll("Tea?", "Yes", "No", votes=(2, 1))
    form = fields(parse(await (await ada.get(FIRST)).text()), FIRST)
    requests: list[tuple[str, dict[str, Any]]] = [
        (FIRST, {**form, "text": "Coffee?"}),
        ("/admin/polls/add", {**form, "text": "Juice?"}),
        ("/admin/polls/1/delete", {}),
        ("/admin/polls/selected", {"do": "close", "poll": "1", "confirmed": "yes"}),
        ("/admin/polls/selected", {"do": "clear", "poll": "1", "confirmed": "yes"}),
        ("/admin/users/", {"username": "eve", "password": PASSWORD, "again": PASSWORD}),
        ("/admin/account", {"current": PASSWORD, "password": "battery horse", "again": "battery horse"}),
    ]
    state = (
        "SELECT (SELECT array_agg((question_text, closes_at, ballots)) FROM question), array_agg(account) FROM account"
    )
    with database.cursor() as cursor:
        cursor.execute(state)
        before = cursor.fetchone()
        cursor.execute("ALTER TABLE history ADD CONSTRAINT full_up CHECK (false) NOT VALID")
        try:
            statuses = [(await ada.post(url, data=sent)).status for url, sent in requests]
        finally:
            cursor.execute("ALTER TABLE history DROP CONSTRAINT full_up")

        cursor.execute(state)
        assert cursor.fetchone() == before
    assert statuses == [500] * len(requests)


async def test_long_histories_have_pages(ada: Client, create_poll: CreatePoll, database: Connection) -> None:
    create_poll("Tea?", "Yes")
    with database.cursor() as cursor:
        cursor.execute(
            "INSERT INTO history (actor, subject, name, deed) "
            "SELECT 'admin:ada', 'poll:1', 'Tea?', 'action ' || n FROM generate_series(1, 150) AS n"
        )

    newer, older = [await entries(ada, f"/admin/polls/1/history?page={number}") for number in (1, 2)]

    assert [len(newer), len(older)] == [100, 50]
    assert (newer[0], older[-1]) == ("ada action 150", "ada action 1")


async def test_my_actions_are_those_of_the_signed_in_account(
    ada: Client, bob: Client, create_poll: CreatePoll, database: Connection
) -> None:
    create_poll("Tea?", "Yes")
    await edit(ada, text="Coffee?")
    await edit(bob, text="Juice?")
    with database.cursor() as cursor:
        cursor.execute(
            "INSERT INTO history (actor, subject, name, deed) "
            "SELECT 'admin:ada', 'poll:1', 'Tea?', 'action ' || n FROM generate_series(1, 100) AS n"
        )

    page = parse(await (await ada.get("/admin/history?mine=yes")).text())

    assert links(page)["My actions"] == "/admin/history?mine=yes"
    assert [words(entry).partition(" · ")[2] for entry in find(page, "li", class_="card")][-1] == "ada action 1 Tea?"
    older = await entries(ada, f"/admin/history{links(page)['Older entries']}")
    assert older == ["ada Changed Coffee? Question: from “Tea?” to “Coffee?”", "ada Signed in ada"]


@pytest.mark.parametrize("page", ["0", "x", "2", "999999999"])
async def test_a_missing_page_of_history_is_not_found(ada: Client, page: str) -> None:
    assert (await ada.get(f"/admin/history?page={page}")).status == 404
