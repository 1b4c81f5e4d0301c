import asyncio
import re
from datetime import timedelta
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from multidict import MultiDict

from polls.domain.poll_list import MAX_COUNT, PAGE_SIZE, ListPage
from polls.web.pages.voter import VOTER_COOKIE
from polls.web.public.index import page_numbers
from tests.conftest import CreatePoll
from tests.support.pages import fields, find, links, parse, words


async def listed(client: TestClient, address: str = "/") -> list[str]:
    response = await client.get(address)
    assert response.status == 200
    (polls,) = find(parse(await response.text()), "ul", class_="polls")
    return [words(heading) for heading in polls.iter("h2")]


async def facts(client: TestClient, address: str = "/") -> list[str]:
    """Return what the list says about each poll, below its question."""
    (polls,) = find(parse(await (await client.get(address)).text()), "ul", class_="polls")
    return [" | ".join(words(paragraph) for paragraph in poll.iter("p")) for poll in polls.iter("li")]


async def test_an_empty_list_invites_visitors_and_those_who_run_the_site(client: TestClient) -> None:
    page = parse(await (await client.get("/")).text())

    (empty,) = find(page, "div", class_="empty")
    assert "There are no polls yet." in words(empty)
    assert links(empty) == {"Sign in": "/admin/login"}
    assert not list(page.iter("form"))


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("/?state=open", "No poll is open at the moment."),
        ("/?q=juice", "No poll matches “juice”."),
        ("/?q=juice&state=closed", "No poll matches “juice”."),
        (f"/?q={'x' * 1000}", f"No poll matches “{'x' * 100}”."),
        ("/?q=%00%ff?!&state=open", "No poll matches “��?!”."),
    ],
)
async def test_a_list_without_polls_says_why_and_leads_to_all(
    client: TestClient, create_poll: CreatePoll, address: str, sentence: str
) -> None:
    create_poll("Tea?", "Yes", closed=timedelta(0))

    (empty,) = find(parse(await (await client.get(address)).text()), "div", class_="empty")

    assert sentence in words(empty)
    assert links(empty) == {"Show all polls": "/"}


async def test_a_list_without_closed_polls_says_so(client: TestClient, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes")

    assert "No poll has closed yet." in await (await client.get("/?state=closed")).text()


async def test_each_poll_has_its_state_its_votes_and_its_result(client: TestClient, create_poll: CreatePoll) -> None:
    for text, days, votes, closed in [
        ("open", 1, (1, 0), None),
        ("closing", 2, (1200, 84), timedelta(days=-1)),
        ("decided", 3, (1, 2), timedelta(hours=1)),
        ("tied", 4, (1, 1), timedelta(hours=1)),
        ("unnoticed", 5, (0, 0), timedelta(hours=1)),
    ]:
        create_poll(text, "Yes & no", "<No>", ago=timedelta(days=days), closed=closed, votes=votes)

    found = [re.sub(r"\d+ \w+ 20\d\d( at [\d:]+ UTC \(tomorrow\))?", "DATE", fact) for fact in await facts(client)]
    page = parse(await (await client.get("/")).text())

    assert found == [
        "Open since DATE 1 vote",
        "Open until DATE 1,284 votes",
        "Closed on DATE 3 votes | Winner: <No>",
        "Closed on DATE 2 votes | Tied",
        "Closed on DATE 0 votes",
    ]
    assert (links(page)["open"], links(page)["decided"]) == ("/poll/1", "/poll/3/results")


async def test_open_and_closed_polls_are_listed_apart_and_searched(client: TestClient, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes", ago=timedelta(days=1))
    create_poll("Tea and cake?", "Yes", ago=timedelta(days=2), closed=timedelta(0))
    create_poll("Coffee?", "Yes", ago=timedelta(days=3))

    assert await listed(client, "/?state=open") == ["Tea?", "Coffee?"]
    assert await listed(client, "/?state=closed") == ["Tea and cake?"]
    assert await listed(client, "/?q=+tea++") == ["Tea?", "Tea and cake?"]
    assert await listed(client, "/?q=TEA&state=closed") == ["Tea and cake?"]
    assert (await client.get("/?state=scheduled")).status == 404


async def test_a_search_keeps_its_filter_and_its_words_on_all_pages(
    client: TestClient, create_poll: CreatePoll
) -> None:
    for days in range(1, 12):
        create_poll(f"Tea & {days}?", "Yes", ago=timedelta(days=days))

    page = parse(await (await client.get("/?q=tea+%26&state=open&page=2")).text())

    assert fields(page, "/") == MultiDict(state="open", q="tea &")
    assert "11 polls found." in words(page)
    assert links(page)["3"] == "/?q=tea+%26&state=open&page=3"
    assert links(page)["Closed"] == "/?q=tea+%26&state=closed"
    (robots,) = find(page, "meta", name="robots")
    assert robots.get("content") == "noindex"


async def test_votes_are_shown_within_a_second(client: TestClient, create_poll: CreatePoll) -> None:
    poll = create_poll("Tea?", "Yes")
    assert "0 votes" in (await facts(client))[0]
    await client.post("/poll/1/vote", data={"choice": str(poll.choices[0].id)})

    async with asyncio.timeout(5):
        while "1 vote" not in (await facts(client))[0]:
            await asyncio.sleep(0.05)


async def test_the_list_tells_a_voter_where_they_voted(
    client: TestClient, create_poll: CreatePoll, aiohttp_client: Any
) -> None:
    for number in (1, 2, 3):
        create_poll(f"{number}?", "Yes", ago=timedelta(days=number))
    for number in (1, 3):
        await client.post(f"/poll/{number}/vote", data={"choice": f"{number}"})
    another = await aiohttp_client(client.server)

    response = await client.get("/")

    assert ["You voted" in fact for fact in await facts(client)] == [True, False, True]
    assert response.headers["Cache-Control"] == "private, no-cache"
    assert "You voted" not in await (await another.get("/")).text()


async def test_a_browser_remembers_the_fifty_polls_in_which_it_voted_last(
    client: TestClient, create_poll: CreatePoll
) -> None:
    poll = create_poll("Tea?", "Yes")
    voted = f"polls_voted_{client.port}"
    cookies = {voted: ".".join(str(number) for number in range(100, 150)), VOTER_COOKIE: "0" * 32}

    response = await client.post(
        "/poll/1/vote", data={"choice": str(poll.choices[0].id)}, cookies=cookies, allow_redirects=False
    )

    assert response.cookies[voted].value == "1." + ".".join(str(number) for number in range(100, 149))


@pytest.mark.parametrize("voted", ["1.", "01", "x", "1,2", "9" * 11, ".".join(["7"] * 51), ""])
async def test_a_malformed_voted_cookie_is_ignored(client: TestClient, create_poll: CreatePoll, voted: str) -> None:
    create_poll("Tea?", "Yes")

    response = await client.get("/", cookies={f"polls_voted_{client.port}": voted})

    assert "You voted" not in await response.text()
    assert "s-maxage=1" in response.headers["Cache-Control"]


@pytest.mark.parametrize(
    ("current", "count", "expected"),
    [
        (1, 1, [1]),
        (1, 10, [1, 2]),
        (2, 15, [1, 2, 3]),
        (1, 60, [1, 2, None, 12]),
        (4, 60, [1, 2, 3, 4, 5, None, 12]),
        (6, 60, [1, None, 5, 6, 7, None, 12]),
        (9, 60, [1, None, 8, 9, 10, 11, 12]),
        (1, MAX_COUNT + 1, [1, 2, None]),
        (250, MAX_COUNT + 1, [1, None, 249, 250, 251, None]),
    ],
)
def test_page_numbers_lead_to_the_first_the_last_and_the_neighbours(
    current: int, count: int, expected: list[int | None]
) -> None:
    page = ListPage((), count, has_older=count > MAX_COUNT or current * PAGE_SIZE < count)

    assert page_numbers(current, page) == expected


async def test_the_latest_polls_are_listed_newest_first(client: TestClient, create_poll: CreatePoll) -> None:
    for text, days in [("second", 2), ("third", 3), ("first", 1)]:
        create_poll(text, "Yes", ago=timedelta(days=days))

    assert await listed(client) == ["first", "second", "third"]


async def test_five_polls_fit_on_a_page_and_older_ones_are_on_the_next(
    client: TestClient, create_poll: CreatePoll
) -> None:
    for days in range(1, 12):
        create_poll(f"{days} days ago", "Yes", ago=timedelta(days=days))

    assert await listed(client) == [f"{days} days ago" for days in range(1, 6)]
    assert await listed(client, "/?page=2") == [f"{days} days ago" for days in range(6, 11)]
    assert await listed(client, "/?page=3") == ["11 days ago"]


async def test_the_pages_link_to_each_other(client: TestClient, create_poll: CreatePoll) -> None:
    for days in range(1, 12):
        create_poll(f"{days} days ago", "Yes", ago=timedelta(days=days))

    pages = [links(parse(await (await client.get(f"/?page={page}")).text())) for page in (1, 2, 3)]

    assert [page.get("Older polls") for page in pages] == ["/?page=2", "/?page=3", None]
    assert [page.get("Newer polls") for page in pages] == [None, "/", "/?page=2"]


async def test_each_page_has_a_heading_of_its_own(client: TestClient, create_poll: CreatePoll) -> None:
    for days in range(1, 8):
        create_poll(f"{days} days ago", "Yes", ago=timedelta(days=days))

    first, second = [parse(await (await client.get(address)).text()) for address in ("/", "/?page=2")]

    assert [words(heading) for heading in first.iter("h1")] == ["Latest polls"]
    assert [words(heading) for heading in second.iter("h1")] == ["Latest polls, page 2"]


async def test_exactly_five_polls_need_no_second_page(client: TestClient, create_poll: CreatePoll) -> None:
    for days in range(1, 6):
        create_poll(f"{days} days ago", "Yes", ago=timedelta(days=days))

    assert "Older polls" not in await (await client.get("/")).text()
    assert (await client.get("/?page=2")).status == 404


@pytest.mark.parametrize("page", ["0", "-1", "x", "", "01", "1.5", "999999999", "9" * 22, "%D9%A1", "2"])
async def test_a_page_that_does_not_exist_is_not_found(client: TestClient, create_poll: CreatePoll, page: str) -> None:
    create_poll("Tea?", "Yes")

    assert (await client.get(f"/?page={page}")).status == 404


async def test_a_poll_is_listed_with_its_date_and_a_link(client: TestClient, create_poll: CreatePoll) -> None:
    poll = create_poll("Tea?", "Yes")

    page = parse(await (await client.get("/")).text())

    (date,) = page.iter("time")
    assert date.get("datetime") == poll.question.pub_date.isoformat(timespec="seconds")
    assert f"/poll/{poll.question.id}" in links(page).values()


async def test_unpublished_polls_are_not_listed(client: TestClient, create_poll: CreatePoll) -> None:
    create_poll("tomorrow", "Yes", ago=timedelta(days=-1))
    create_poll("without choices")
    create_poll("today", "Yes")

    assert await listed(client) == ["today"]
