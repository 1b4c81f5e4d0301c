"""Addresses that are nearly right: each leads to what was meant."""

from datetime import timedelta

import pytest
from yarl import URL

from tests.conftest import CreatePoll
from tests.support.pages import find, links, parse, words
from tests.web.conftest import Client, Serve

OTHER_SLASH = {
    "/poll/1/": "/poll/1",
    "/poll/1//": "/poll/1",
    "/poll/1/vote/": "/poll/1/vote",
    "/poll/1/results/?after=3&x=%20": "/poll/1/results?after=3&x=%20",
    "/poll/1/present/": "/poll/1/present",
    "/admin": "/admin/",
    "/admin?q=tea": "/admin/?q=tea",
    "/admin/login/": "/admin/login",
    "/admin/polls/1/": "/admin/polls/1",
    "/admin/polls/1/history/": "/admin/polls/1/history",
    "/admin/polls/add/": "/admin/polls/add",
    "/admin/users": "/admin/users/",
    "/admin/history/": "/admin/history",
    "/admin/account/": "/admin/account",
}


@pytest.mark.parametrize("prefix", ["", "/village"])
async def test_a_slash_too_many_or_too_few_redirects_to_the_page(serve: Serve, prefix: str) -> None:
    client = await serve(prefix=prefix)
    if prefix:
        assert (await client.get(prefix, allow_redirects=False)).headers["Location"] == f"{prefix}/"

    for method in ("GET", "HEAD"):
        for url, location in OTHER_SLASH.items():
            response = await client.request(method, prefix + url, allow_redirects=False)
            assert (response.status, response.headers.get("Location")) == (308, prefix + location), url
            assert "Content-Security-Policy" in response.headers


@pytest.mark.parametrize(
    "url",
    [
        *("/poll", "/poll/", "/poll/01/", "/nowhere/", "/static", "/admin/nowhere", "/admin/logout/", "//", "///"),
        *("//evil.example/", "//evil.example/poll/1/", "/\\evil.example/poll/1/", "/poll/1/nowhere/", "/1/"),
    ],
)
async def test_no_redirect_leads_to_an_address_without_a_page(
    client: Client, create_poll: CreatePoll, url: str
) -> None:
    create_poll("Tea?", "Yes")

    target = URL(f"http://{client.host}:{client.port}{url}", encoded=True)
    response = await client.session.get(target, allow_redirects=False)

    assert response.status == 404


@pytest.mark.parametrize("url", ["/poll/1/", "/poll/1/vote/", "/admin", "/admin/users", "/poll/1/nowhere"])
async def test_a_post_is_not_redirected(client: Client, create_poll: CreatePoll, url: str) -> None:
    create_poll("Tea?", "Yes")

    assert (await client.post(url, data={"choice": "1"}, allow_redirects=False)).status == 404


@pytest.mark.parametrize("prefix", ["", "/village"])
async def test_a_get_of_the_address_for_votes_leads_to_the_poll(
    serve: Serve, create_poll: CreatePoll, prefix: str
) -> None:
    create_poll("Tea?", "Yes")
    create_poll("Later?", "Yes", ago=timedelta(days=-1))
    client = await serve(prefix=prefix)

    response = await client.get(f"{prefix}/poll/1/vote", allow_redirects=False)

    assert (response.status, response.headers["Location"]) == (303, f"{prefix}/poll/1")
    assert [(await client.get(f"{prefix}/poll/{number}/vote")).status for number in (2, 99, 9_999_999_999)] == [404] * 3


@pytest.mark.parametrize("url", ["/poll/1/nowhere", "/poll/1/Results", "/poll/1/results/x?y=z"])
async def test_a_missing_page_below_a_poll_offers_the_poll(client: Client, create_poll: CreatePoll, url: str) -> None:
    create_poll("Tea?", "Yes")

    response = await client.get(url)

    offered = links(parse(await response.text()))
    assert (response.status, offered["Back to the poll"], offered["See the latest polls"]) == (404, "/poll/1", "/")


@pytest.mark.parametrize("url", ["/poll/2/nowhere", "/poll/99/nowhere", "/poll/x/nowhere", "/poll/99", "/nowhere"])
async def test_a_missing_page_offers_no_poll_that_is_not_public(
    client: Client, create_poll: CreatePoll, url: str
) -> None:
    create_poll("Tea?", "Yes")
    create_poll("Nothing to choose?")

    response = await client.get(url)

    assert response.status == 404
    assert "Back to the poll" not in links(parse(await response.text()))


async def test_a_missing_page_in_the_admin_stays_in_the_admin(ada: Client) -> None:
    for url in ("/admin/nowhere", "/admin/polls/99", "/admin/polls/99/history", "/admin/nowhere/x/"):
        response = await ada.get(url)

        page = parse(await response.text())
        assert response.status == 404, url
        assert find(page, "body", class_="admin"), url
        assert links(page)["See all polls"] == "/admin/", url
        assert {"Polls", "History", "Users", "ada"} <= links(page).keys(), url
        assert "Sign out" in words(page), url


async def test_a_missing_poll_in_the_admin_is_not_said_to_be_unpublished(ada: Client) -> None:
    page = words(parse(await (await ada.get("/admin/polls/99")).text()))

    assert "This poll doesn't exist. It may have been deleted." in page


async def test_a_missing_page_in_the_admin_needs_no_session(client: Client) -> None:
    response = await client.get("/admin/nowhere")

    page = parse(await response.text())
    assert (response.status, links(page)["See all polls"]) == (404, "/admin/")
    assert "Sign out" not in words(page)
    assert response.headers["Cache-Control"] == "no-store"
