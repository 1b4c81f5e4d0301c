"""Browsers that open a site over plain http although its public URL is https."""

from typing import Any

import pytest

from polls.config.settings import Site
from tests.conftest import CreatePoll
from tests.web.conftest import Client, Serve

BROWSER = {"Upgrade-Insecure-Requests": "1", "X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "http"}


async def visit(serve: Serve, headers: dict[str, str], path: str = "/", method: str = "GET", **settings: Any) -> Any:
    client = await serve(**{"trusted_proxies": 1, "site": Site(url="https://polls.example"), **settings})
    return await client.request(method, path, headers=headers, allow_redirects=False)


@pytest.mark.parametrize("path", ["/", "/admin/login?next=/admin/", "/poll/1?a=%20b", "/nowhere"])
async def test_a_browser_on_http_is_sent_to_the_same_page_at_the_public_url(serve: Serve, path: str) -> None:
    response = await visit(serve, BROWSER, path)

    assert (response.status, response.headers["Location"]) == (307, f"https://polls.example{path}")
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("headers", "settings"),
    [
        ({"Upgrade-Insecure-Requests": ""}, {}),  # a health check, or another program
        ({"X-Forwarded-Proto": "https"}, {}),
        ({"X-Forwarded-Proto": ""}, {}),
        ({"X-Forwarded-For": "127.0.0.1"}, {}),  # an operator on the server
        ({"X-Forwarded-For": "::1"}, {}),
        ({"Sec-Fetch-Site": "none"}, {}),  # sent over https only, whatever the proxy says
        ({}, {"trusted_proxies": 0}),  # any client can send these headers
        ({}, {"site": Site(url="http://polls.example")}),
        ({}, {"site": Site()}),
    ],
)
async def test_other_visits_are_not_redirected(serve: Serve, headers: dict[str, str], settings: dict[str, Any]) -> None:
    assert (await visit(serve, BROWSER | headers, **settings)).status == 200


async def test_a_form_is_not_redirected(serve: Serve, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes")

    assert (await visit(serve, BROWSER, "/poll/1/vote", "POST")).status == 400


async def test_a_browser_that_comes_back_is_on_https_and_not_redirected_again(serve: Serve) -> None:
    """A proxy that is wrong about the scheme must not make the redirect a loop."""
    client: Client = await serve(trusted_proxies=1, site=Site(url="https://polls.example"))
    response = await client.get("/", headers=BROWSER, allow_redirects=False)
    cookie = response.headers["Set-Cookie"]
    assert "; Secure" in cookie  # over http, browsers refuse it

    response = await client.get("/", headers=BROWSER | {"Cookie": cookie.partition(";")[0]}, allow_redirects=False)

    assert response.status == 200
