"""The list of polls: columns, sorting, filters, search and pages, all of them parameters of the URL."""

from datetime import timedelta
from typing import Any
from xml.etree.ElementTree import Element

import pytest
from yarl import URL

from polls.storage.postgres.connect import Connection
from polls.web.admin.poll_list import PAGE_SIZE
from tests.conftest import CreatePoll
from tests.support.pages import fields, find, links, parse, words
from tests.web.conftest import Client

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def several(create_poll: CreatePoll) -> None:
    """A poll of each kind: old, recent, closed, scheduled, without choices."""
    create_poll("Where do we meet?", "Park", "Café in town", ago=400 * DAY, votes=(3, 0))
    create_poll("What's for lunch?", "Soup", "Salad", ago=2 * HOUR, votes=(1, 1))
    create_poll("Apples or pears?", "Apples", "Pears", ago=40 * DAY, closed=DAY, votes=(20, 21))
    create_poll("Next year?", "Yes", "No", ago=-30 * DAY)
    create_poll("Nothing to choose?", ago=3 * HOUR)


async def page(browser: Client, url: str = "/admin/") -> Element:
    response = await browser.get(URL(url, encoded=True))
    assert response.status == 200, await response.text()
    return parse(await response.text())


def table(document: Element) -> list[list[str]]:
    """Return the rows of the list as texts of their cells, without the checkbox."""
    (body,) = document.iter("tbody")
    return [[words(cell) for cell in row][1:] for row in body]


def fields_of_jump(document: Element) -> dict[str, str]:
    (form,) = find(document, "form", class_="page-jump")
    return {field.get("name", ""): field.get("value", "") for field in form.iter("input")}


def texts(document: Element) -> list[str]:
    return [cells[0] for cells in table(document)] if list(document.iter("tbody")) else []


async def test_each_row_leads_to_the_results_and_the_big_screen(ada: Client, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes", votes=(1,))

    (cell,) = find(await page(ada), "td", class_="column-pages")

    shown = [words(parse(await (await ada.get(f"/admin/{link}")).text())) for link in links(cell).values()]
    assert list(links(cell)) == ["Results", "Present"]
    assert ["1 vote in all" in text for text in shown] == [True, True]
    assert "Full screen" in shown[1]


@pytest.mark.usefixtures("several")
async def test_each_poll_is_listed_with_date_recency_state_and_ballots(ada: Client) -> None:
    listed = {cells[0]: cells[2:-1] for cells in table(await page(ada))}

    assert listed == {
        "Next year?": ["–Not recent", "Scheduled", "Ballots: 0"],
        "What's for lunch?": ["✓Recent", "Open", "Ballots: 2"],
        "Nothing to choose?": ["✓Recent", "Open, no choices", "Ballots: 0"],
        "Apples or pears?": ["–Not recent", "Closed", "Ballots: 41"],
        "Where do we meet?": ["–Not recent", "Open", "Ballots: 3"],
    }


@pytest.mark.usefixtures("several")
@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("", [4, 2, 5, 3, 1]),
        ("published", [1, 3, 5, 2, 4]),
        ("text", [3, 4, 5, 2, 1]),
        ("-text", [1, 2, 5, 4, 3]),
        ("recent", [4, 3, 1, 2, 5]),
        ("-recent", [2, 5, 4, 3, 1]),
        ("state", [4, 2, 5, 1, 3]),
        ("-state", [3, 2, 5, 1, 4]),
        ("ballots", [5, 4, 2, 1, 3]),
        ("-ballots", [3, 1, 2, 4, 5]),
        ("state,-ballots", [4, 1, 2, 5, 3]),
        ("-recent,text", [5, 2, 3, 4, 1]),
        ("state,ballots,-text", [4, 5, 2, 1, 3]),
    ],
)
async def test_columns_sort_both_ways_and_together(ada: Client, sort: str, expected: list[int]) -> None:
    document = await page(ada, f"/admin/?sort={sort}")

    boxes = [int(box.get("value", "")) for box in find(document, "input", name="poll")]
    assert boxes == expected


@pytest.mark.usefixtures("several")
async def test_a_header_sorts_first_by_its_column_then_the_other_way(ada: Client) -> None:
    document = await page(ada)
    by_state = links(document)["State"]
    assert URL(by_state).query == {"sort": "state,-published"}

    document = await page(ada, by_state)
    (sorted_,) = [header for header in document.iter("th") if header.get("aria-sort")]
    assert (words(sorted_), sorted_.get("aria-sort")) == ("State ↑1 ×", "ascending")

    again = URL(next(url for text, url in links(document).items() if text.startswith("State")))
    assert again.query == {"sort": "-state,-published"}
    (_, unsort) = [link for link in document.iter("a") if link.get("aria-label", "").startswith("Don’t sort by")]
    assert URL(unsort.get("href", "")).query == {}


@pytest.mark.usefixtures("several")
@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ("date=today", None),
        ("date=past7days", {2, 5}),
        ("date=year&state=closed", None),
        ("state=scheduled", {4}),
        ("state=open", {1, 2, 5}),
        ("state=closed", {3}),
        ("q=apple", {3}),
        ("q=PEARS+or", {3}),
        ("q=ca", {1}),
        ("q=town+meet", {1}),
        ("q=own", {1}),
        ("q=downtown", set()),
        ("q=lunch&state=closed", set()),
        ("q=what%27s", {2}),
        ("q=pp%27%22%5C%26%7C!*:", {3}),
        ("q=%27%22%5C%26%7C!*:", set()),
        ("q=soup&state=open&date=past7days&sort=-ballots,text", {2}),
    ],
)
async def test_filters_and_words_work_together(ada: Client, filters: str, expected: set[int] | None) -> None:
    document = await page(ada, f"/admin/?{filters}")

    if expected is not None:
        assert {int(box.get("value", "")) for box in find(document, "input", name="poll")} == expected


async def test_words_are_found_in_every_script(ada: Client, create_poll: CreatePoll) -> None:
    create_poll("下次聚会在哪里？", "公园", "图书馆")
    create_poll("Où est-ce qu'on va ?", "Château", "Plage")
    create_poll("Куда идём?", "Парк", "Кафе")

    for query, found in [("聚会", 1), ("图书", 1), ("château", 2), ("plag", 2), ("парк", 3), ("Куд", 3)]:
        document = await page(ada, str(URL("/admin/").with_query(q=query)))
        assert [box.get("value") for box in find(document, "input", name="poll")] == [str(found)], query


async def test_an_edited_poll_is_found_by_its_new_words_only(
    ada: Client, create_poll: CreatePoll, database: Connection
) -> None:
    create_poll("Tea?", "Green", "Black")
    with database.cursor() as cursor:
        cursor.execute("UPDATE question SET question_text = 'Coffee?'")
        cursor.execute("UPDATE choice SET choice_text = 'White' WHERE choice_text = 'Black'")
        cursor.execute("DELETE FROM choice WHERE choice_text = 'Green'")

    for gone in ("tea", "black", "green"):
        assert texts(await page(ada, f"/admin/?q={gone}")) == []
    for new in ("coffee", "white"):
        assert texts(await page(ada, f"/admin/?q={new}")) == ["Coffee?"]


async def test_date_filters_use_calendar_days(ada: Client, create_poll: CreatePoll, database: Connection) -> None:
    create_poll("Tea?", "Yes")
    for moment in [
        "date_trunc('day', now())",
        "date_trunc('day', now()) + interval '1 day' - interval '1 microsecond'",
        "date_trunc('day', now()) - interval '7 days'",
        "date_trunc('day', now()) - interval '7 days 1 second'",
        "date_trunc('month', now())",
        "date_trunc('month', now()) - interval '1 second'",
        "date_trunc('year', now())",
        "date_trunc('year', now()) - interval '1 second'",
        "date_trunc('year', now()) + interval '1 year'",
    ]:
        with database.cursor() as cursor:
            cursor.execute(f"UPDATE question SET pub_date = {moment} RETURNING (pub_date AT TIME ZONE 'UTC')::date")
            (day,) = cursor.fetchone() or ()
            cursor.execute("SELECT (now() AT TIME ZONE 'UTC')::date")
            (today,) = cursor.fetchone() or ()
        lists = {  # on the first days of a month or year, one moment is in several of them
            "today": day == today,
            "past7days": today - 7 * DAY <= day <= today,
            "month": (day.year, day.month) == (today.year, today.month),
            "year": day.year == today.year,
        }
        listed_in = {name: bool(texts(await page(ada, f"/admin/?date={name}"))) for name in lists}
        assert listed_in == lists, moment


@pytest.mark.usefixtures("several")
async def test_the_calendar_links_from_years_to_days(ada: Client, database: Connection) -> None:
    with database.cursor() as cursor:
        cursor.execute("UPDATE question SET pub_date = '2025-05-03 18:00+00' WHERE id = 1")
        cursor.execute("UPDATE question SET pub_date = '2025-07-14 18:00+00' WHERE id > 1")
    document = await page(ada)
    assert links(document)["2025"] == "/admin/?in=2025"

    document = await page(ada, "/admin/?in=2025")
    assert [text for text in links(document) if "2025" in text and text[0].isalpha()] == ["May 2025", "July 2025"]
    assert links(document)["May 2025"] == "/admin/?in=2025-5"

    document = await page(ada, "/admin/?in=2025-5&sort=text")
    assert texts(document) == ["Where do we meet?"]
    assert links(document)["3 May"] == "/admin/?in=2025-5-3&sort=text"
    assert texts(await page(ada, "/admin/?in=2025-5-3")) == ["Where do we meet?"]
    assert texts(await page(ada, "/admin/?in=2025-5-4")) == []
    assert links(document)["All years"] == "/admin/?sort=text"


@pytest.mark.usefixtures("several")
async def test_the_calendar_has_the_years_of_the_filtered_polls(ada: Client, database: Connection) -> None:
    with database.cursor() as cursor:
        cursor.execute("UPDATE question SET pub_date = '2019-05-03 18:00+00' WHERE id = 3")

    assert "2019" in links(await page(ada, "/admin/?state=closed"))
    assert "2019" not in links(await page(ada, "/admin/?state=scheduled"))
    assert "2019" in links(await page(ada, "/admin/?q=pears"))
    assert "2019" not in links(await page(ada, "/admin/?q=soup"))


async def test_the_calendar_covers_the_years_1_to_9999(
    ada: Client, create_poll: CreatePoll, database: Connection
) -> None:
    create_poll("First?", "Yes")
    create_poll("Last?", "Yes")
    with database.cursor() as cursor:
        cursor.execute("UPDATE question SET pub_date = '0001-01-02 00:00+00' WHERE id = 1")
        cursor.execute("UPDATE question SET pub_date = '9999-12-30 23:59+00' WHERE id = 2")

    assert texts(await page(ada)) == ["Last?", "First?"]
    for within in ("1", "1-1", "1-1-3", "9999", "9999-12", "9999-12-30", "9999-12-31"):
        await page(ada, f"/admin/?in={within}")


@pytest.mark.parametrize(
    "query",
    [
        "sort=password_hash",
        "sort=text;DROP%20TABLE%20question",
        "sort=,,,-,--text,text,text,-text",
        "sort=" + "text," * 500,
        "date=1",
        "date=past7days%00",
        "state=secret",
        "in=0",
        "in=2025-13",
        "in=2025-02-30",
        "in=99999",
        "in=2025-1-1-1",
        "in=-",
        "in=%D9%A1",
        "page=0",
        "page=-1",
        "page=x",
        "q=%00",
        "q=%ED%A0%80",
        "q=" + "a" * 5000,
        "q=" + "a+" * 2000,
        "q=" + "%27" * 100,
        "q=:*",
        "q=%5C",
        "q=a%5C%27:*",
        "q=%E2%80%8F",
        "q[]=1",
        "colour=red",
        "%ff=%ff",
    ],
)
@pytest.mark.usefixtures("several")
async def test_invalid_parameters_are_ignored(ada: Client, query: str) -> None:
    document = await page(ada, f"/admin/?{query}")

    if not query.startswith("q="):
        assert len(texts(document)) == 5


@pytest.mark.parametrize("number", ["2", "999999999"])
@pytest.mark.usefixtures("several")
async def test_a_page_beyond_the_last_redirects_to_the_last(ada: Client, number: str) -> None:
    """The polls of that page may have been deleted since the link was made."""
    response = await ada.get(f"/admin/?state=open&page={number}", allow_redirects=False)

    assert (response.status, response.headers["Location"]) == (303, "/admin/?state=open")


async def test_pages_have_a_hundred_polls_and_keep_filters_and_order(ada: Client, database: Connection) -> None:
    with database.cursor() as cursor:
        cursor.execute(
            "INSERT INTO question (question_text, pub_date) "
            "SELECT 'Question ' || n, now() - n * interval '1 minute' FROM generate_series(1, 250) AS n"
        )

    document = await page(ada, "/admin/?q=question&state=open&sort=published")
    seen = texts(document)
    assert (len(seen), "250 of 250 polls match" in words(document)) == (PAGE_SIZE, True)
    for number in (2, 3):
        url = links(document)["Next page"]
        assert URL(url).query == {"q": "question", "state": "open", "sort": "published", "page": str(number)}
        document = await page(ada, url)
        seen += texts(document)
    assert "Next page" not in links(document)
    assert seen == [f"Question {number}" for number in range(250, 0, -1)]
    assert URL(links(document)["Previous page"]).query["page"] == "2"

    assert "of 3" in words(document)
    assert fields_of_jump(document) == {"q": "question", "state": "open", "sort": "published", "page": "3"}
    response = await ada.get("/admin/?q=question&page=99", allow_redirects=False)
    assert response.headers["Location"] == "/admin/?q=question&page=3"


@pytest.mark.usefixtures("several")
async def test_the_list_says_how_many_of_all_polls_match(ada: Client) -> None:
    for query, expected in [
        ("", "5 polls"),
        ("sort=text", "5 polls"),
        ("q=pears", "1 of 5 polls matches"),
        ("state=open&sort=text", "3 of 5 polls match"),
        ("q=zebra", "0 of 5 polls match"),
    ]:
        (heading,) = find(await page(ada, f"/admin/?{query}"), "p", id="count")
        assert words(heading).split(" · ")[0] == expected


@pytest.mark.usefixtures("several")
async def test_searching_keeps_filters_and_order(ada: Client) -> None:
    document = await page(ada, "/admin/?state=open&sort=text&page=1")

    (search,) = [form for form in document.iter("form") if form.get("role") == "search"]
    sent = {field.get("name"): field.get("value", "") for field in search.iter("input")}
    assert sent == {"q": "", "state": "open", "sort": "text"}


@pytest.mark.usefixtures("several")
async def test_an_empty_list_says_so(ada: Client) -> None:
    document = await page(ada, "/admin/?q=zebra")

    assert "No polls found." in words(document)
    assert links(document)["Show all"] == "/admin/"


@pytest.mark.usefixtures("several")
async def test_the_selected_polls_are_sent_with_the_url_of_the_list(ada: Client) -> None:
    document = await page(ada, "/admin/?state=open&sort=text")

    sent: Any = fields(document, "/admin/polls/selected")
    assert (sent["back"], sent["do"], sent.getall("poll", [])) == ("/admin/?state=open&sort=text", "close", [])
