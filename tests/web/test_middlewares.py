"""The middlewares: security headers on every response, and no cross-site requests."""

from dataclasses import replace
from typing import Any

import pytest
from aiohttp import WSServerHandshakeError, web
from aiohttp.test_utils import TestClient

from polls.app import create_app
from polls.config.settings import Config, Site
from polls.web.http.security_headers import SECURITY_HEADERS
from tests.conftest import CreatePoll


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/nowhere", 404),
        ("DELETE", "/", 405),
        ("POST", "/poll/1/vote", 400),
        ("GET", "/language/en", 303),
        ("GET", "/static/css/public.css", 200),
        ("GET", "/static/nothing.css", 404),
    ],
)
async def test_every_response_has_the_security_headers(
    client: TestClient, create_poll: CreatePoll, method: str, path: str, status: int
) -> None:
    create_poll("Tea?", "Yes")

    response = await client.request(method, path, allow_redirects=False)

    assert response.status == status
    assert {name: response.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS


def test_the_content_security_policy_allows_nothing_inline() -> None:
    assert "unsafe" not in SECURITY_HEADERS["Content-Security-Policy"]


async def test_a_response_can_override_a_security_header(config: Config, aiohttp_client: Any) -> None:
    app = create_app(config)

    async def framed(_: web.Request) -> web.Response:
        return web.Response(headers={"X-Frame-Options": "SAMEORIGIN"})

    async def moved(_: web.Request) -> web.Response:
        raise web.HTTPSeeOther("/", headers={"Referrer-Policy": "origin"})

    async def fine(_: web.Request) -> web.Response:
        raise web.HTTPAccepted(text="fine")

    app.router.add_get("/fine", fine)
    app.router.add_get("/framed", framed)
    app.router.add_get("/moved", moved)
    client = await aiohttp_client(app)

    assert (await client.get("/framed")).headers["X-Frame-Options"] == "SAMEORIGIN"
    accepted = await client.get("/fine")
    assert (accepted.status, await accepted.text()) == (202, "fine")
    assert accepted.headers["X-Content-Type-Options"] == "nosniff"
    redirect = await client.get("/moved", allow_redirects=False)
    assert redirect.headers["Referrer-Policy"] == "origin"
    assert redirect.headers["X-Content-Type-Options"] == "nosniff"


CROSS_SITE = [
    # headers, whether the vote is counted
    ({}, True),
    ({"Sec-Fetch-Site": "same-origin"}, True),
    ({"Sec-Fetch-Site": "none"}, True),
    ({"Sec-Fetch-Site": "cross-site"}, False),
    ({"Sec-Fetch-Site": "same-site"}, False),
    ({"Sec-Fetch-Site": "nonsense"}, False),
    ({"Origin": "http://{host}"}, True),
    ({"Origin": "HTTP://{HOST}"}, True),
    ({"Origin": "http://{host}:1"}, False),
    ({"Origin": "http://{host}.evil.example"}, False),
    ({"Origin": "https://evil.example"}, False),
    ({"Origin": "null"}, False),
    ({"Origin": ""}, False),
    ({"Origin": "http://[::1"}, False),
    ({"Origin": "http://{host}", "Sec-Fetch-Site": "cross-site"}, False),
    ({"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"}, True),
]


@pytest.mark.parametrize(("headers", "is_counted"), CROSS_SITE)
async def test_only_votes_from_our_own_pages_are_counted(
    client: TestClient, create_poll: CreatePoll, headers: dict[str, str], is_counted: bool
) -> None:
    create_poll("Tea?", "Yes")
    host = f"{client.host}:{client.port}"

    response = await client.post(
        "/poll/1/vote",
        data={"choice": "1"},
        headers={
            name: value.replace("{host}", host).replace("{HOST}", host.upper()) for name, value in headers.items()
        },
        allow_redirects=False,
    )

    assert response.status == (303 if is_counted else 403)
    if not is_counted:
        assert "another website" in await response.text()


async def test_the_operator_reads_once_a_minute_why_a_request_was_refused(
    config: Config, aiohttp_client: Any, create_poll: CreatePoll, caplog: pytest.LogCaptureFixture
) -> None:
    """Behind a proxy that passes its own Host on, every vote is refused."""
    create_poll("Tea?", "Yes")
    client = await aiohttp_client(create_app(replace(config, site=Site(url="https://polls.example:8443"))))
    headers = {"Origin": "http://polls.example", "Host": "10.0.0.7:8000"}

    for _ in range(3):
        assert (await client.post("/poll/1/vote", data={"choice": "1"}, headers=headers)).status == 403
        with pytest.raises(WSServerHandshakeError):
            await client.ws_connect("/poll/1/live", headers=headers | {"Origin": "x\t" * 5000})

    (message,) = [record.getMessage() for record in caplog.records if "Origin" in record.msg]
    assert "'http://polls.example'" in message
    assert "'10.0.0.7:8000'" in message
    assert "'https://polls.example:8443'" in message


async def test_the_site_url_is_an_own_origin_if_a_proxy_changes_the_host(
    config: Config, aiohttp_client: Any, create_poll: CreatePoll
) -> None:
    create_poll("Tea?", "Yes")
    client = await aiohttp_client(create_app(replace(config, site=Site(url="https://polls.example.org"))))

    async def status(origin: str) -> int:
        response = await client.post(
            "/poll/1/vote",
            data={"choice": "1"},
            headers={"Origin": origin, "Sec-Fetch-Site": "cross-site"},
            allow_redirects=False,
        )
        return int(response.status)

    assert await status("https://polls.example.org") == 303
    assert await status("https://polls.example.org:443") == 303
    assert await status("http://polls.example.org") == 403
    assert await status("https://polls.example.org:8443") == 403
    assert await status("https://evil.example") == 403


async def test_get_requests_from_other_sites_are_allowed(client: TestClient) -> None:
    assert (await client.get("/", headers={"Sec-Fetch-Site": "cross-site"})).status == 200
