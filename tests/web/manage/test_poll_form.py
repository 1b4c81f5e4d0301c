"""Adding and editing polls: saving, validation, edit conflicts, and that input is never lost."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from multidict import MultiDict
from yarl import URL

from polls.config.settings import Site
from polls.domain.draft import replace_unprintable
from polls.storage.postgres.connect import Connection
from tests.conftest import CreatePoll
from tests.support.pages import field_errors, fields, find, links, parse, words
from tests.web.conftest import PASSWORD, Client, Serve, SignIn, add_account

ADD = "/admin/polls/add"
FIRST = "/admin/polls/1"


def new_poll(*choices: str, **others: str) -> dict[str, str]:
    """Return the fields of a form for "Tea?", published long ago: `new_poll("Yes", "No", closes_date="2026-12-24")`."""
    poll = {"text": "Tea?", "published_date": "2026-05-03", "published_time": "18:00"}
    for number, text in enumerate(choices):
        poll |= {f"choice.{number}.text": text, f"choice.{number}.position": str(number + 1)}
    return poll | others


async def form_of(browser: Client, url: str, action: str = "") -> MultiDict[str]:
    response = await browser.get(URL(url, encoded=True))
    assert response.status == 200
    return fields(parse(await response.text()), action or url)


async def send(browser: Client, url: str, sent: Any, **options: Any) -> Any:
    return await browser.post(url, data=sent, allow_redirects=False, **options)


async def errors(response: Any) -> dict[str, str]:
    """Return the error messages by field of a form that is shown again."""
    assert response.status == 400
    return field_errors(parse(await response.text()))


def polls(database: Connection) -> list[Any]:
    with database.cursor() as cursor:
        cursor.execute("SELECT question_text, pub_date, closes_at FROM question ORDER BY id")
        return cursor.fetchall()


def choices(database: Connection, question_id: int = 1) -> list[Any]:
    """Return id, text and votes of each choice, in the order that voters see."""
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT id, choice_text, votes FROM choice WHERE question_id = %s ORDER BY position, id", (question_id,)
        )
        return cursor.fetchall()


async def test_a_poll_is_added_with_its_choices_in_their_order(ada: Client, database: Connection) -> None:
    sent = new_poll("Yes", "No", "Perhaps", "", "", "Never", closes_date="2099-12-24", closes_time="12:00")

    response = await send(ada, ADD, sent)

    assert (response.status, response.headers["Location"]) == (303, "/admin/")
    assert polls(database) == [("Tea?", datetime(2026, 5, 3, 18, tzinfo=UTC), datetime(2099, 12, 24, 12, tzinfo=UTC))]
    assert [text for _, text, _ in choices(database)] == ["Yes", "No", "Perhaps", "Never"]


async def test_a_new_form_has_three_empty_rows_and_no_dates(ada: Client) -> None:
    form = await form_of(ada, ADD)

    assert [form[f"choice.{number}.text"] for number in range(3)] == ["", "", ""]
    assert "choice.3.text" not in form
    assert [form[f"{name}_{part}"] for name in ("published", "closes") for part in ("date", "time")] == [""] * 4


async def test_a_poll_without_dates_is_published_when_it_is_saved(ada: Client, database: Connection) -> None:
    form = {**await form_of(ada, ADD), "text": "Tea?", "choice.0.text": "Yes"}

    answers = await asyncio.gather(*(send(ada, ADD, form) for _ in range(3)))
    again = await send(ada, ADD, {**form, "text": "Coffee?"})

    assert [answer.status for answer in answers] == [303] * 3
    ((text, published, closes),) = polls(database)
    assert (text, closes) == ("Tea?", None)
    assert abs(published - datetime.now(UTC)) < timedelta(minutes=2)
    conflict = parse(await again.text())
    assert (again.status, fields(conflict, FIRST)["published_date"]) == (409, f"{published.astimezone(UTC):%Y-%m-%d}")
    assert (await send(ada, FIRST, fields(conflict, FIRST))).status == 303
    assert polls(database) == [("Coffee?", published, None)]


@pytest.mark.parametrize(
    ("sent", "is_open", "summary"),
    [
        ({"text": ""}, False, "Now, no end"),
        (
            {"text": "", "closes_date": "2099-12-24", "closes_time": "12:00"},
            True,
            "Now, until 24 December 2099, 12:00 UTC",
        ),
        (
            {"text": "", "published_date": "2026-05-03", "published_time": "18:00"},
            True,
            "From 3 May 2026, 18:00 UTC, no end",
        ),
        ({"published_date": "2026-05-03"}, True, "From 2026-05-03, no end"),
        ({"closes_date": "tomorrow", "closes_time": "noon"}, True, "Now, until tomorrow noon"),
        ({"do": "today.closes"}, True, f"Now, until {datetime.now(UTC):%Y}"),
    ],
)
async def test_dates_of_a_new_poll_are_folded_until_there_are_any(
    ada: Client, sent: dict[str, str], is_open: bool, summary: str
) -> None:
    page = parse(await (await send(ada, ADD, {"text": "Tea?", **sent})).text())

    (dates,) = find(page, "details", class_="when")
    assert ("open" in dates.attrib) == is_open
    (shown,) = find(dates, "span", class_="when-summary")
    assert words(shown).startswith(summary)


@pytest.mark.parametrize(
    ("poll", "typed", "is_open"),
    [
        ({}, {}, False),
        ({"closed": timedelta(hours=1)}, {}, True),
        ({"ago": -timedelta(days=1)}, {}, True),
        ({}, {"published_date": "2020-01-01"}, True),
        ({}, {"published_date": "", "published_time": ""}, True),
    ],
)
async def test_dates_of_a_poll_are_unfolded_if_they_matter(
    ada: Client, create_poll: CreatePoll, poll: dict[str, Any], typed: dict[str, str], is_open: bool
) -> None:
    create_poll("Tea?", "Yes", **poll)

    page = parse(await (await send(ada, FIRST, {**await form_of(ada, FIRST), **typed, "text": ""})).text())

    (dates,) = find(page, "details", class_="when")
    assert ("open" in dates.attrib) == is_open


@pytest.mark.parametrize(
    ("do", "url", "flash"),
    [
        ("save", "/admin/", "Your poll is live."),
        ("continue", FIRST, "Your poll is live."),
        ("another", ADD, "Your poll is live."),
        ("made up", "/admin/", "Your poll is live."),
    ],
)
async def test_saving_redirects_as_the_button_says_and_shows_a_message_once(
    ada: Client, do: str, url: str, flash: str
) -> None:
    response = await send(ada, ADD, new_poll("Yes", do=do))
    assert response.headers["Location"] == url

    next_page = parse(await (await ada.get(url)).text())
    (message,) = find(next_page, "p", role="status")
    assert words(message).startswith(flash)
    assert links(message) == {"Edit it": FIRST, "View on site": "/poll/1"}
    assert find(parse(await (await ada.get(url)).text()), "p", role="status") == []


@pytest.mark.parametrize(
    ("sent", "message", "is_shared"),
    [
        (new_poll("Yes"), "Your poll is live.", True),
        (new_poll("Yes", published_date="2099-05-03"), "The poll was added.", False),
        (new_poll(), "The poll was added.", False),
    ],
)
async def test_a_new_poll_that_takes_votes_comes_with_its_address(
    ada: Client, sent: dict[str, str], message: str, is_shared: bool
) -> None:
    await send(ada, ADD, sent)

    page = parse(await (await ada.get("/admin/")).text())
    assert words(find(page, "p", role="status")[0]).startswith(message)
    assert [words(url) for url in find(page, "p", class_="share-url")] == ["/poll/1"] * is_shared


async def test_forms_lead_back_to_the_filtered_list_that_they_came_from(ada: Client, create_poll: CreatePoll) -> None:
    create_poll("Чай?", "Yes", votes=(1,))
    filtered = "/admin/?q=%D1%87&sort=text"

    listed = links(parse(await (await ada.get(filtered)).text()))
    add, edit = listed["Add a poll"], f"/admin/{listed['Чай?']}"
    for url, action in [(add, ADD), (edit, FIRST)]:
        form = {**await form_of(ada, url, action), "text": "Чай!", "choice.0.text": "Yes"}
        assert (await send(ada, action, form)).headers["Location"] == filtered
        for do in ("continue", "another"):
            form["edition"] = (await form_of(ada, edit, FIRST))["edition"]
            following = (await send(ada, action, {**form, "do": do})).headers["Location"]
            assert (await form_of(ada, following, following.partition("?")[0]))["back"] == filtered
    invalid = parse(await (await send(ada, FIRST, {**form, "text": ""})).text())
    assert fields(invalid, FIRST)["back"] == filtered
    confirmation = links(invalid)["Delete"]
    page = parse(await (await ada.get(confirmation)).text())
    assert links(page)["No, go back"] == filtered
    deleted = await send(ada, f"{FIRST}/delete", fields(page, f"{FIRST}/delete"))
    assert deleted.headers["Location"] == filtered


@pytest.mark.parametrize("back", ["//evil.example", "https://evil.example/", "", "javascript:alert(1)"])
async def test_forms_lead_back_to_pages_of_this_site_only(ada: Client, create_poll: CreatePoll, back: str) -> None:
    create_poll("Tea?", "Yes")

    form = await form_of(ada, str(URL(FIRST).with_query(back=back)), FIRST)
    saved = await send(ada, FIRST, {**form, "back": back})
    deleted = await send(ada, f"{FIRST}/delete", {"back": back})

    assert (form["back"], saved.headers["Location"], deleted.headers["Location"]) == ("/admin/",) * 3


async def test_a_form_that_is_sent_twice_adds_one_poll(ada: Client, database: Connection) -> None:
    form = {**await form_of(ada, ADD), **new_poll("Yes", "No")}

    answers = await asyncio.gather(*(send(ada, ADD, form) for _ in range(3)))

    assert [(answer.status, answer.headers["Location"]) for answer in answers] == [(303, "/admin/")] * 3
    assert [text for text, *_ in polls(database)] == ["Tea?"]
    assert [text for _, text, _ in choices(database)] == ["Yes", "No"]


async def test_a_form_that_is_changed_and_sent_again_changes_the_poll_that_it_added(
    ada: Client, database: Connection
) -> None:
    form = {**await form_of(ada, ADD), **new_poll("Yes", "No")}
    await send(ada, ADD, form)

    again = await send(ada, ADD, {**form, "text": "Coffee?", "choice.1.text": "Nope", "choice.2.text": "Perhaps"})

    page = parse(await again.text())
    (alert,) = find(page, "section", role="alert")
    assert (again.status, "This poll was added already." in words(alert)) == (409, True)
    assert (await send(ada, FIRST, fields(page, FIRST))).status == 303
    assert [text for text, *_ in polls(database)] == ["Coffee?"]
    assert [(id_, text) for id_, text, _ in choices(database)] == [(1, "Yes"), (2, "Nope"), (3, "Perhaps")]


async def test_going_back_to_a_form_that_was_saved_leads_to_its_poll(ada: Client) -> None:
    form_page = await ada.get(f"{ADD}?back=/admin/?q=t")
    await send(ada, ADD, {**fields(parse(await form_page.text()), ADD), **new_poll("Yes")})

    again = await ada.get(form_page.url.path_qs)

    assert again.url.path_qs == f"{FIRST}?back=/admin/?q%3Dt"
    assert "Tea?" in await again.text()


async def test_changes_that_are_sent_twice_are_no_conflict(
    ada: Client, create_poll: CreatePoll, database: Connection
) -> None:
    create_poll("Tea?", "Yes", "No", "Perhaps")
    changed = {"text": "Coffee?", "choice.0.remove": "yes", "choice.1.text": "Nope", "choice.3.text": "Never"}
    form = {**await form_of(ada, FIRST), **changed}

    answers = await asyncio.gather(*(send(ada, FIRST, form) for _ in range(3)))

    assert [answer.status for answer in answers] == [303] * 3
    assert [text for _, text, _ in choices(database)] == ["Nope", "Perhaps", "Never"]
    with database.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM history WHERE subject = 'poll:1'")
        assert cursor.fetchone() == (1,)


async def test_voters_see_what_was_saved(ada: Client, client: Client) -> None:
    await send(ada, ADD, new_poll("Yes", "No"))
    assert "Yes" in await (await client.get("/poll/1")).text()
    form = await form_of(ada, FIRST)

    await send(ada, FIRST, {**form, "text": "Coffee?"})

    async with asyncio.timeout(5):
        while "Coffee?" not in await (await client.get("/poll/1")).text():
            await asyncio.sleep(0.01)


async def test_an_unchanged_form_changes_nothing(ada: Client, create_poll: CreatePoll, database: Connection) -> None:
    create_poll("Tea?", "Yes", "No", votes=(2, 1), closed=timedelta(minutes=5))
    before = polls(database), choices(database)
    with database.cursor() as cursor:
        cursor.execute("SELECT revision, edition, edited_at FROM question")
        state = cursor.fetchone()

        response = await send(ada, FIRST, await form_of(ada, FIRST))

        assert response.status == 303
        assert (polls(database), choices(database)) == before
        cursor.execute("SELECT revision, edition, edited_at FROM question")
        assert cursor.fetchone() == state
        cursor.execute("SELECT count(*) FROM history WHERE subject = 'poll:1'")
        assert cursor.fetchone() == (0,)


async def test_a_choice_keeps_its_id_and_its_votes_when_its_text_changes(
    ada: Client, create_poll: CreatePoll, database: Connection
) -> None:
    poll = create_poll("Tea?", "Yse", "No", votes=(5, 3))
    form = await form_of(ada, FIRST)

    await send(ada, FIRST, {**form, "choice.0.text": "Yes"})

    assert choices(database) == [(poll.choices[0].id, "Yes", 5), (poll.choices[1].id, "No", 3)]


async def test_choices_are_put_in_the_order_of_their_numbers(
    ada: Client, create_poll: CreatePoll, database: Connection
) -> None:
    create_poll("Tea?", "One", "Two", "Three", votes=(1, 2, 3))
    form = await form_of(ada, FIRST)

    await send(
        ada,
        FIRST,
        {**form, "choice.0.position": "9", "choice.2.position": "1", "choice.3.text": "New", "choice.3.position": "2"},
    )

    assert [(text, votes) for _, text, votes in choices(database)] == [("Three", 3), ("New", 0), ("Two", 2), ("One", 1)]


async def test_votes_are_shown_and_cannot_be_edited(ada: Client, create_poll: CreatePoll, database: Connection) -> None:
    create_poll("Tea?", "Yes", "No", votes=(1284, 1))
    page = parse(await (await ada.get(FIRST)).text())
    assert [words(votes) for votes in find(page, "span", class_="votes")] == ["1,284 votes", "1 vote"]

    await send(ada, FIRST, {**fields(page, FIRST), "choice.0.votes": "7", "votes": "7", "ballots": "7"})

    assert [votes for _, _, votes in choices(database)] == [1284, 1]


async def test_a_choice_without_votes_is_removed_at_once(
    ada: Client, create_poll: CreatePoll, database: Connection
) -> None:
    create_poll("Tea?", "Yes", "No", votes=(2, 0))
    form = await form_of(ada, FIRST)

    response = await send(ada, FIRST, {**form, "choice.1.remove": "yes"})

    assert response.status == 303
    assert [text for _, text, _ in choices(database)] == ["Yes"]


async def test_a_choice_with_votes_is_removed_after_a_confirmation_that_names_them(
    ada: Client, create_poll: CreatePoll, database: Connection
) -> None:
    create_poll("Tea?", "Yes", "No", "Perhaps", votes=(2, 12, 1))
    form = await form_of(ada, FIRST)

    response = await send(ada, FIRST, {**form, "choice.1.remove": "yes", "text": "Green tea?"})
    page = parse(await response.text())
    (alert,) = find(page, "section", role="alert")
    assert (response.status, "No: 12 votes" in words(alert)) == (409, True)
    assert polls(database)[0][0] == "Tea?"
    assert len(choices(database)) == 3

    again = fields(page, FIRST)
    assert (again["text"], again["choice.1.remove"]) == ("Green tea?", "yes")
    confirmed = await send(ada, FIRST, again)

    assert confirmed.status == 303
    assert [(text, votes) for _, text, votes in choices(database)] == [("Yes", 2), ("Perhaps", 1)]
    with database.cursor() as cursor:
        cursor.execute("SELECT ballots, (SELECT count(*) FROM ballot) FROM question")
        assert cursor.fetchone() == (3, 3)


async def test_a_confirmation_includes_earlier_ones(ada: Client, create_poll: CreatePoll, database: Connection) -> None:
    create_poll("Tea?", "Yes", "No", "Perhaps", votes=(2, 12, 1))
    response = await send(ada, FIRST, {**await form_of(ada, FIRST), "choice.0.remove": "yes"})
    again = fields(parse(await response.text()), FIRST)

    response = await send(ada, FIRST, [*again.items(), ("choice.1.remove", "yes"), ("text", "")])
    again = fields(parse(await response.text()), FIRST)
    confirmed = await send(ada, FIRST, again)

    assert (response.status, confirmed.status) == (409, 303)
    assert [text for _, text, _ in choices(database)] == ["Perhaps"]


async def test_removing_all_votes_with_a_choice_does_not_mark_the_poll_as_edited(
    ada: Client, create_poll: CreatePoll, database: Connection
) -> None:
    poll = create_poll("Tea?", "Yes", "No", "Perhaps", votes=(0, 12, 0))
    sent = {**await form_of(ada, FIRST), "choice.1.remove": "yes", "confirmed": str(poll.choices[1].id)}

    await send(ada, FIRST, sent)

    with database.cursor() as cursor:
        cursor.execute("SELECT ballots, edited_at FROM question")
        assert cursor.fetchone() == (0, None)


@pytest.mark.parametrize(
    ("positions", "order"),
    [
        (("1", "2", "1"), ["Three", "One", "Two"]),
        (("3", "2", "3"), ["Two", "One", "Three"]),
        (("1", "1", "3"), ["Two", "One", "Three"]),
        (("", "2", "3"), ["Two", "Three", "One"]),
        (("7", "7", "7"), ["One", "Two", "Three"]),
    ],
)
async def test_a_choice_moved_to_the_position_of_another_comes_before_it(
    ada: Client, create_poll: CreatePoll, database: Connection, positions: tuple[str, ...], order: list[str]
) -> None:
    create_poll("Tea?", "One", "Two", "Three")
    moved = {f"choice.{number}.position": position for number, position in enumerate(positions)}

    await send(ada, FIRST, {**await form_of(ada, FIRST), **moved})

    assert [text for _, text, _ in choices(database)] == order


async def test_unticking_remove_keeps_the_votes(ada: Client, create_poll: CreatePoll, database: Connection) -> None:
    create_poll("Tea?", "Yes", "No", votes=(2, 12))
    form = await form_of(ada, FIRST)
    response = await send(ada, FIRST, {**form, "choice.1.remove": "yes"})
    again = fields(parse(await response.text()), FIRST)
    del again["choice.1.remove"]

    await send(ada, FIRST, again)

    assert [votes for _, _, votes in choices(database)] == [2, 12]


async def test_confirming_one_choice_does_not_confirm_another(
    ada: Client, create_poll: CreatePoll, database: Connection
) -> None:
    poll = create_poll("Tea?", "Yes", "No", votes=(2, 12))
    form = await form_of(ada, FIRST)

    response = await send(
        ada, FIRST, [*form.items(), ("choice.1.remove", "yes"), ("confirmed", str(poll.choices[0].id))]
    )

    assert response.status == 409
    assert len(choices(database)) == 2


async def test_results_say_that_the_poll_was_edited_once_there_are_votes(
    ada: Client, create_poll: CreatePoll, client: Client
) -> None:
    create_poll("Tea?", "Yse", "No")
    create_poll("Coffee?", "Yse", "No", votes=(1, 0))
    for url in (FIRST, "/admin/polls/2"):
        await send(ada, url, {**await form_of(ada, url), "choice.0.text": "Yes"})
    # New dates and a new order don't change what voters have voted for.
    create_poll("Juice?", "Yes", "No", votes=(1, 0))
    form = await form_of(ada, "/admin/polls/3")
    await send(
        ada, "/admin/polls/3", {**form, "closes_date": "2099-01-01", "closes_time": "00:00", "choice.0.position": "9"}
    )

    pages = [await (await client.get(f"/poll/{number}/results?after=1")).text() for number in (1, 2, 3)]

    assert ["after voting had started" in page for page in pages] == [False, True, False]


async def test_adding_a_row_needs_no_script(ada: Client) -> None:
    sent = new_poll("Yes", "No", "Perhaps", do="add_choice", closes_date="nonsense")

    response = await send(ada, ADD, sent)

    form = fields(parse(await response.text()), ADD)
    assert response.status == 200
    assert (form["choice.0.text"], form["choice.3.text"], form["closes_date"]) == ("Yes", "", "nonsense")
    assert "choice.4.text" not in form


@pytest.mark.parametrize(
    ("choices", "focused", "rows"), [(("Yes", "", ""), 1, 3), (("Yes", "No", "Perhaps"), 3, 4), ((), 0, 1)]
)
async def test_enter_in_a_field_goes_on_to_the_next_choice_and_saves_nothing(
    ada: Client, database: Connection, choices: tuple[str, ...], focused: int, rows: int
) -> None:
    form = next(iter(find(parse(await (await ada.get(ADD)).text()), "form", action=ADD)))
    first_button = next(iter(form.iter("button")))

    response = await send(ada, ADD, new_poll(*choices, **{first_button.get("name", ""): first_button.get("value", "")}))

    page = parse(await response.text())
    (field,) = (field for field in page.iter("input") if "autofocus" in field.attrib)
    assert (response.status, field.get("name")) == (200, f"choice.{focused}.text")
    assert f"choice.{rows - 1}.text" in fields(page, ADD)
    assert f"choice.{rows}.text" not in fields(page, ADD)
    assert polls(database) == []


@pytest.mark.parametrize("moment", ["published", "closes"])
async def test_today_and_now_need_no_script(ada: Client, moment: str) -> None:
    emptied = {f"{moment}_date": "", f"{moment}_time": ""}
    today = await send(ada, ADD, new_poll("Yes", **emptied, do=f"today.{moment}"))
    now = await send(ada, ADD, new_poll("Yes", **emptied, do=f"now.{moment}"))

    with_day, with_time = [fields(parse(await page.text()), ADD) for page in (today, now)]
    assert (with_day[f"{moment}_date"], with_day[f"{moment}_time"]) == (f"{datetime.now(UTC):%Y-%m-%d}", "")
    assert with_time[f"{moment}_date"] == ""
    assert with_time[f"{moment}_time"] >= "00:00"


TOO_LONG = "é" * 201


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"text": ""}, {"text": "Enter a question."}),
        ({"text": " \u3000\u200b\u200f "}, {"text": "Enter a question."}),
        ({"text": TOO_LONG}, {"text": "Use at most 200 characters. This text has 201."}),
        ({"text": "Tea\x00?"}, {"text": "The text contains a character that can't be displayed. Enter it again."}),
        ({"text": "Tea\n?"}, {"text": "The text contains a character that can't be displayed. Enter it again."}),
        ({"text": "Tea\ufffd"}, {"text": "The text contains a character that can't be displayed. Enter it again."}),
        ({"text": "Tea\uffff"}, {"text": "The text contains a character that can't be displayed. Enter it again."}),
        ({"choice.0.text": "😀" * 201}, {"choice.0": "Use at most 200 characters. This text has 201."}),
        (
            {"choice.1.text": "a\x1bb"},
            {"choice.1": "The text contains a character that can't be displayed. Enter it again."},
        ),
        ({"choice.1.text": "yes"}, {"choice.1": "Another choice has the same text."}),
        ({"choice.1.text": " Yes  "}, {"choice.1": "Another choice has the same text."}),
        ({"choice.1.text": "Ye\u2060s\u3164"}, {"choice.1": "Another choice has the same text."}),
        ({"text": "\u2800"}, {"text": "Enter a question."}),
        ({"choice.1.text": "\u200b"}, {"choice.1": "Enter the choice, or tick “Remove”."}),
        ({"choice.1.position": "second"}, {"choice.1.position": "Enter the position as a number: 1, 2, 3 …"}),
        ({"choice.1.position": "-1"}, {"choice.1.position": "Enter the position as a number: 1, 2, 3 …"}),
        ({"choice.1.position": "9" * 30}, {"choice.1.position": "Enter the position as a number: 1, 2, 3 …"}),
        (
            {"text": "", "choice.0.text": "x" * 201, "choice.0.position": "?", "closes_time": "12:00"},
            {
                "text": "Enter a question.",
                "choice.0": "Use at most 200 characters. This text has 201.",
                "choice.0.position": "Enter the position as a number: 1, 2, 3 …",
                "closes": "Enter a date and a time.",
            },
        ),
        ({"published_date": ""}, {"published": "Enter a date and a time."}),
        ({"published_time": ""}, {"published": "Enter a date and a time."}),
        ({"closes_date": "2026-06-01"}, {"closes": "Enter a date and a time."}),
        ({"closes_time": "12:00"}, {"closes": "Enter a date and a time."}),
        (
            {"closes_date": "2026-05-03", "closes_time": "18:00"},
            {"closes": "The poll must close after it is published."},
        ),
        (
            {"closes_date": "2025-05-03", "closes_time": "18:00"},
            {"closes": "The poll must close after it is published."},
        ),
        *(
            (
                {"published_date": day, "published_time": time},
                {"published": "Enter a valid date and time, such as 2026-05-03 and 18:00."},
            )
            for day, time in [
                ("2026-02-29", "18:00"),
                ("2026-13-01", "18:00"),
                ("2026-04-31", "18:00"),
                ("2026-05-03", "24:01"),
                ("2026-05-03", "18:60"),
                ("tomorrow", "noon"),
                ("0000-01-01", "00:00"),
                ("0001-01-01", "00:00"),
                ("9999-12-31", "23:59"),
                ("10000-01-01", "00:00"),
                ("٢٠٢٦-٠٥-٠٣", "18:00"),
                ("2026-05-03\x00", "18:00"),
                ("2026-5-3", "18:00"),
            ]
        ),
    ],
)
async def test_an_invalid_form_is_shown_again_with_messages_and_all_input(
    ada: Client, database: Connection, changed: dict[str, str], expected: dict[str, str]
) -> None:
    sent = new_poll("Yes", "No", "Perhaps") | changed

    response = await send(ada, ADD, sent)

    assert await errors(response) == expected
    again = fields(parse(await response.text()), ADD)
    assert {name: again[name] for name in sent} == {name: replace_unprintable(value) for name, value in sent.items()}
    assert polls(database) == []


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "{{ 7 * 7 }} {% raw %} %(x)s %s \\",
        "\u202eright to left\u202c",
        "👩‍👩‍👧‍👦 🏳️‍🌈",
        "x" * 200,
        "😀" * 200,
        "؟ ما الشاي",
        "'; DROP TABLE question; --",
    ],
)
async def test_every_text_is_stored_as_entered_and_shown_escaped_everywhere(
    ada: Client, client: Client, database: Connection, text: str
) -> None:
    assert (await send(ada, ADD, new_poll(text, "No") | {"text": text})).status == 303

    assert polls(database)[0][0] == text
    assert choices(database)[0][1] == text
    assert (await form_of(ada, FIRST))["text"] == text
    for browser, url in [
        (ada, "/admin/"),
        (ada, "/admin/polls/1/history"),
        (ada, "/admin/history"),
        (ada, "/admin/polls/1/delete"),
        (client, "/poll/1"),
        (client, "/poll/1/results"),
    ]:
        response = await browser.get(url)
        page = parse(await response.text())
        assert response.status == 200
        assert " ".join(text.split()) in words(page), url
        assert find(page, "img", src="x") == []


@pytest.mark.parametrize("count", [101, 240])
async def test_a_form_with_too_many_choices_is_shown_again_with_all_of_them(
    ada: Client, database: Connection, count: int
) -> None:
    sent = new_poll(*(f"Choice {number}" for number in range(count)))

    response = await send(ada, ADD, sent)

    excess = "one" if count == 101 else f"{count - 100:,}"
    assert await errors(response) == {"choices": f"A poll can have at most 100 choices. Remove {excess}."}
    assert fields(parse(await response.text()), ADD)[f"choice.{count - 1}.text"] == f"Choice {count - 1}"
    assert polls(database) == []


async def test_a_form_with_ten_thousand_choices_is_too_large(ada: Client, database: Connection) -> None:
    response = await send(ada, ADD, new_poll(*(f"{number}" for number in range(10_000))))

    assert response.status == 413
    assert polls(database) == []


async def test_a_hundred_of_the_longest_choices_fit(ada: Client, database: Connection) -> None:
    sent = new_poll(*(f"{number:03}" + "😀" * 197 for number in range(100)))

    response = await send(ada, ADD, sent)

    assert response.status == 303
    assert len(choices(database)) == 100
    assert "choice.100.text" not in await form_of(ada, FIRST)


async def test_an_oversized_form_is_refused(ada: Client) -> None:
    assert (await send(ada, ADD, {"text": "x" * 600_000})).status == 413


async def test_a_closing_time_in_the_past_is_asked_for_once(ada: Client, database: Connection) -> None:
    sent = new_poll("Yes", closes_date="2026-05-04", closes_time="18:00")

    response = await send(ada, ADD, sent)

    message = "This time has passed: the poll will be closed at once. Save again to confirm, or choose a later time."
    assert await errors(response) == {"closes": message}
    again = fields(parse(await response.text()), ADD)
    earlier = {**again, "closes_time": "17:00"}
    assert (await errors(await send(ada, ADD, earlier))).keys() == {"closes"}
    assert polls(database) == []
    assert (await send(ada, ADD, again)).status == 303
    assert polls(database)[0][2] == datetime(2026, 5, 4, 18, tzinfo=UTC)
    assert (await send(ada, FIRST, {**await form_of(ada, FIRST), "text": "Coffee?"})).status == 303


async def test_choices_of_another_poll_are_not_touched(
    ada: Client, create_poll: CreatePoll, database: Connection
) -> None:
    create_poll("Tea?", "Yes", "No")
    other = create_poll("Coffee?", "Black", "White", votes=(4, 2))
    form = await form_of(ada, FIRST)

    await send(
        ada,
        FIRST,
        {
            **form,
            "choice.0.id": str(other.choices[0].id),
            "choice.1.id": str(other.choices[1].id),
            "choice.1.remove": "yes",
        },
    )

    assert [(text, votes) for _, text, votes in choices(database, 2)] == [("Black", 4), ("White", 2)]


async def test_a_form_of_another_version_loses_nothing(
    ada: Client, create_poll: CreatePoll, database: Connection
) -> None:
    """A form without an edition is a conflict, and choices that it lacks are not removed."""
    create_poll("Tea?", "Yes", "No", votes=(2, 1))

    response = await send(ada, FIRST, {"text": "Coffee?", "colour": "red"})
    again = fields(parse(await response.text()), FIRST)

    assert response.status == 400
    assert again["text"] == "Coffee?"
    assert polls(database)[0][0] == "Tea?"

    response = await send(ada, FIRST, {**new_poll(), "text": "Coffee?"})
    again = fields(parse(await response.text()), FIRST)

    assert response.status == 409
    assert [again[f"choice.{number}.text"] for number in (0, 1)] == ["Yes", "No"]
    assert polls(database)[0][0] == "Tea?"
    assert (await send(ada, FIRST, again)).status == 303
    assert [votes for _, _, votes in choices(database)] == [2, 1]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"text=%ED%A0%80", "application/x-www-form-urlencoded"),
        (b"text=&choice.999999.text=x&choice.9999999.text=x", "application/x-www-form-urlencoded"),
        (b"\xff\xfe", "application/x-www-form-urlencoded; charset=utf-16"),
        (b"text=x", "application/x-www-form-urlencoded; charset=nonsense"),
        (b'{"text": "Tea?"}', "application/json"),
        (
            b'--x\r\nContent-Disposition: form-data; name="text"; filename="a"\r\n\r\nTea\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
        ),
        (b"--x", "multipart/form-data; boundary=x"),
        (b"x", "multipart/form-data"),
    ],
)
async def test_malformed_bodies_are_client_errors(
    ada: Client, create_poll: CreatePoll, database: Connection, body: bytes, kind: str
) -> None:
    create_poll("Tea?", "Yes", "No")
    before = polls(database), choices(database)

    for url in (ADD, FIRST):
        response = await ada.post(url, data=body, headers={"Content-Type": kind})
        assert response.status in {400, 409}

    assert (polls(database), choices(database)) == before


@pytest.mark.parametrize("url", ["/admin/polls/7", "/admin/polls/7/delete", "/admin/polls/7/history"])
async def test_a_missing_poll_is_not_found(ada: Client, url: str) -> None:
    assert (await ada.get(url)).status == 404
    assert (await ada.post(url, data={})).status in {404, 405}


@pytest.mark.parametrize("number", ["0", "01", "x", "1e3", "9999999999", "%00", "١"])
async def test_a_malformed_id_is_not_found(ada: Client, number: str) -> None:
    assert (await ada.get(f"/admin/polls/{number}")).status == 404


async def test_a_vote_does_not_make_a_form_stale(
    ada: Client, client: Client, create_poll: CreatePoll, database: Connection
) -> None:
    poll = create_poll("Tea?", "Yes", "No")
    form = await form_of(ada, FIRST)
    await client.post("/poll/1/vote", data={"choice": str(poll.choices[0].id)})

    response = await send(ada, FIRST, {**form, "text": "Green tea?"})

    assert response.status == 303
    assert [votes for _, _, votes in choices(database)] == [1, 0]


async def test_an_edit_conflict_shows_both_versions_and_loses_nothing(
    ada: Client, bob: Client, create_poll: CreatePoll, database: Connection
) -> None:
    create_poll("Tea?", "Yes", "No", "Perhaps")
    ada_form, bob_form = await form_of(ada, FIRST), await form_of(bob, FIRST)
    await send(
        ada,
        FIRST,
        {**ada_form, "text": "Green tea?", "choice.1.text": "Nope", "choice.2.remove": "yes", "choice.3.text": "New"},
    )

    response = await send(
        bob, FIRST, {**bob_form, "text": "Black tea?", "choice.0.text": "Sure", "choice.2.text": "Maybe"}
    )

    page = parse(await response.text())
    (alert,) = find(page, "section", role="alert")
    text = words(alert)
    assert response.status == 409
    assert "Someone else has changed this poll since you opened it." in text
    assert "ada on" in text
    for change in ("from “Tea?” to “Green tea?”", "from “No” to “Nope”", "“Perhaps” removed", "Choice: “New”"):
        assert change in text
    assert "Saved by someone else: Green tea?" in words(page)
    assert polls(database)[0][0] == "Green tea?"

    again = fields(page, FIRST)
    assert again["text"] == "Black tea?"
    assert [again[f"choice.{number}.text"] for number in range(3)] == ["Sure", "No", "Maybe"]
    assert (await send(bob, FIRST, again)).status == 303
    assert polls(database)[0][0] == "Black tea?"
    assert [text for _, text, _ in choices(database)] == ["Sure", "No", "Maybe", "New"]


async def test_a_poll_that_was_deleted_meanwhile_is_not_found(
    ada: Client, bob: Client, create_poll: CreatePoll
) -> None:
    create_poll("Tea?", "Yes", "No")
    form = await form_of(bob, FIRST)
    await ada.post("/admin/polls/1/delete")

    assert (await send(bob, FIRST, form)).status == 404


async def test_of_simultaneous_saves_one_succeeds(
    ada: Client, create_poll: CreatePoll, database: Connection, sign_in: SignIn
) -> None:
    create_poll("Tea?", "Yes", "No")
    browsers = [ada, *[await sign_in("ada") for _ in range(5)]]
    form = await form_of(ada, FIRST)

    answers = await asyncio.gather(
        *(send(browser, FIRST, {**form, "text": f"Tea {number}?"}) for number, browser in enumerate(browsers))
    )

    assert sorted(answer.status for answer in answers) == [303] + [409] * 5
    with database.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM history WHERE subject = 'poll:1'")
        assert cursor.fetchone() == (1,)


@pytest.fixture
async def in_berlin(serve: Serve) -> Client:
    """The browser of an admin of a site in the time zone of Berlin."""
    client = await serve(site=Site(time_zone="Europe/Berlin"))
    await add_account(client, "ada")
    await client.post("/admin/login", data={"username": "ada", "password": PASSWORD})
    return client


@pytest.mark.parametrize(
    ("day", "time", "moment"),
    [
        ("2026-05-03", "18:00", datetime(2026, 5, 3, 16, tzinfo=UTC)),
        ("2026-12-03", "00:30", datetime(2026, 12, 2, 23, 30, tzinfo=UTC)),
        ("2026-03-29", "01:59", datetime(2026, 3, 29, 0, 59, tzinfo=UTC)),
        ("2026-03-29", "03:00", datetime(2026, 3, 29, 1, 0, tzinfo=UTC)),
        ("0001-01-03", "00:00", datetime(1, 1, 2, 23, 6, 32, tzinfo=UTC)),
        ("9999-12-29", "23:59", datetime(9999, 12, 29, 22, 59, tzinfo=UTC)),
    ],
)
async def test_dates_are_entered_in_the_sites_time_zone_and_stored_in_utc(
    in_berlin: Client, database: Connection, day: str, time: str, moment: datetime
) -> None:
    await send(in_berlin, ADD, new_poll("Yes", published_date=day, published_time=time))

    assert polls(database)[0][1] == moment
    form = await form_of(in_berlin, FIRST)
    assert (form["published_date"], form["published_time"]) == (day, time)


@pytest.mark.parametrize(("fold", "hour"), [("0", 0), ("1", 1)])
async def test_a_time_that_comes_twice_is_asked_for(
    in_berlin: Client, database: Connection, fold: str, hour: int
) -> None:
    sent = new_poll("Yes", published_date="2025-10-26", published_time="02:30")

    response = await send(in_berlin, ADD, sent)

    message = "On this day the clock shows 02:30 twice. Choose which of the two you mean."
    assert await errors(response) == {"published": message}
    page = parse(await response.text())
    assert [words(option) for option in page.iter("option")] == ["Which of the two?", "02:30 CEST", "02:30 CET"]
    again = fields(page, ADD)
    again["published_fold"] = fold
    assert (await send(in_berlin, ADD, again)).status == 303
    assert polls(database)[0][1] == datetime(2025, 10, 26, hour, 30, tzinfo=UTC)
    assert (await form_of(in_berlin, FIRST))["published_fold"] == fold


@pytest.mark.parametrize("time", ["02:00", "02:30", "02:59"])
async def test_an_hour_that_the_clock_skips_is_refused(in_berlin: Client, database: Connection, time: str) -> None:
    response = await send(in_berlin, ADD, new_poll("Yes", published_date="2026-03-29", published_time=time))

    assert await errors(response) == {"published": f"On this day the clock skips {time}. Choose a later time."}
    assert polls(database) == []


async def test_an_unchanged_time_keeps_its_seconds(
    in_berlin: Client, create_poll: CreatePoll, database: Connection
) -> None:
    """Also in the hour that the clock repeats in autumn: 02:30:17 occurs twice, and this is the second one."""
    create_poll("Tea?", "Yes")
    second = datetime(2026, 10, 25, 1, 30, 17, tzinfo=UTC)
    with database.cursor() as cursor:
        cursor.execute("UPDATE question SET pub_date = %s", (second,))
    form = await form_of(in_berlin, FIRST)
    assert (form["published_date"], form["published_time"]) == ("2026-10-25", "02:30")

    await send(in_berlin, FIRST, {**form, "text": "Coffee?"})

    assert polls(database)[0][:2] == ("Coffee?", second)


async def test_pages_show_times_in_the_sites_time_zone(
    in_berlin: Client, create_poll: CreatePoll, database: Connection
) -> None:
    create_poll("Tea?", "Yes")
    with database.cursor() as cursor:
        cursor.execute("UPDATE question SET closes_at = '2026-05-03 22:30+00'")

    page = parse(await (await in_berlin.get("/poll/1/results?after=99")).text())

    assert "This poll closed on 4 May 2026 at 00:30 CEST (" in words(page)
