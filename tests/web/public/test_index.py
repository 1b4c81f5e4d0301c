from datetime import timedelta

import pytest
from aiohttp.test_utils import TestClient

from tests.conftest import CreatePoll
from tests.support.pages import find, links, parse, words


async def listed(client: TestClient, address: str = "/") -> list[str]:
    response = await client.get(address)
    assert response.status == 200
    (polls,) = find(parse(await response.text()), "ul", class_="polls")
    return [words(question) for question in find(polls, "span", dir="auto")]


async def test_an_empty_list_says_that_no_polls_are_available(client: TestClient) -> None:
    page = parse(await (await client.get("/")).text())

    assert "No polls are available." in words(page)


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
