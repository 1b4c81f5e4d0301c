"""Which X-Forwarded headers are trusted, and what follows from the scheme and host that clients use."""

from dataclasses import replace
from typing import Any

import pytest

from polls.app import create_app
from polls.config.settings import Config, Site
from polls.web.http.security_headers import HTTPS_HEADERS
from tests.conftest import CreatePoll
from tests.support.pages import links, parse


@pytest.mark.parametrize(
    ("proxies", "forwarded", "secure"),
    [
        (0, "https", False),  # any client can send this
        (1, "https", True),
        (1, "http", False),
        (1, "https, http", False),  # the client sent the first value
        (2, "https, http", True),
        (2, "https", True),  # only the first proxy sets the header
        (1, "nonsense", False),
        (1, "", False),
    ],
)
async def test_cookies_are_secure_if_a_trusted_proxy_reports_https(
    config: Config, aiohttp_client: Any, create_poll: CreatePoll, proxies: int, forwarded: str, secure: bool
) -> None:
    create_poll("Tea?", "Yes")
    client = await aiohttp_client(create_app(replace(config, trusted_proxies=proxies)))

    response = await client.get("/poll/1", headers={"X-Forwarded-Proto": forwarded})

    assert response.headers["Set-Cookie"].endswith("; Secure") is secure


async def test_the_presenter_page_links_to_the_forwarded_scheme_and_host(
    config: Config, aiohttp_client: Any, create_poll: CreatePoll
) -> None:
    create_poll("Tea?", "Yes")
    client = await aiohttp_client(create_app(replace(config, trusted_proxies=1)))
    headers = {"X-Forwarded-Proto": "https", "Host": "polls.example.org"}

    page = parse(await (await client.get("/poll/1/present", headers=headers)).text())

    assert links(page)["polls.example.org/poll/1"] == "https://polls.example.org/poll/1"


@pytest.mark.parametrize(
    ("url", "has_hsts"), [("https://polls.example.org", True), ("http://polls.example.org", False), (None, False)]
)
async def test_responses_have_hsts_only_if_the_site_url_is_https(
    config: Config, aiohttp_client: Any, create_poll: CreatePoll, url: str | None, has_hsts: bool
) -> None:
    create_poll("Tea?", "Yes")
    client = await aiohttp_client(create_app(replace(config, site=Site(url=url))))

    for path in ("/", "/poll/1", "/nowhere", "/static/css/public.css", "/admin/"):
        headers = (await client.get(path, allow_redirects=False)).headers
        assert (HTTPS_HEADERS.items() <= dict(headers).items()) is has_hsts, path
