"""What is believed of those who stand in front: which visitor asks, by http or https, and at which address."""

from dataclasses import replace
from typing import Any

import pytest

from polls.app import create_app
from polls.config.settings import Config, Site
from polls.web.http.security_headers import HTTPS_HEADERS
from tests.conftest import Ask
from tests.support.pages import links, parse


@pytest.mark.parametrize(
    ("proxies", "forwarded", "secure"),
    [
        (0, "https", False),  # anybody may write this
        (1, "https", True),
        (1, "http", False),
        (1, "https, http", False),  # the first is the visitor's own word
        (2, "https, http", True),
        (2, "https", True),  # the second proxy passed on what the first one wrote
        (1, "nonsense", False),
        (1, "", False),
    ],
)
async def test_cookies_are_for_https_alone_where_a_trusted_proxy_says_that_visitors_come_by_it(
    config: Config, aiohttp_client: Any, ask: Ask, proxies: int, forwarded: str, secure: bool
) -> None:
    ask("Tea?", "Yes")
    client = await aiohttp_client(create_app(replace(config, trusted_proxies=proxies)))

    response = await client.get("/poll/1", headers={"X-Forwarded-Proto": forwarded})

    assert response.headers["Set-Cookie"].endswith("; Secure") is secure


async def test_the_big_screen_invites_to_the_address_that_the_visitor_knows(
    config: Config, aiohttp_client: Any, ask: Ask
) -> None:
    ask("Tea?", "Yes")
    client = await aiohttp_client(create_app(replace(config, trusted_proxies=1)))
    headers = {"X-Forwarded-Proto": "https", "Host": "polls.example.org"}

    page = parse(await (await client.get("/poll/1/present", headers=headers)).text())

    assert links(page)["polls.example.org/poll/1"] == "https://polls.example.org/poll/1"


@pytest.mark.parametrize(
    ("url", "alone"), [("https://polls.example.org", True), ("http://polls.example.org", False), (None, False)]
)
async def test_where_the_public_address_is_https_browsers_are_told_to_come_by_nothing_else(
    config: Config, aiohttp_client: Any, ask: Ask, url: str | None, alone: bool
) -> None:
    ask("Tea?", "Yes")
    client = await aiohttp_client(create_app(replace(config, site=Site(url=url))))

    for address in ("/", "/poll/1", "/nowhere", "/static/css/base.css", "/admin/"):
        headers = (await client.get(address, allow_redirects=False)).headers
        assert (HTTPS_HEADERS.items() <= dict(headers).items()) is alone, address
