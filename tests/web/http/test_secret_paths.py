"""An access key in a path: not in logs, and not in links and headers of error pages."""

import logging
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from polls.app import create_app
from polls.config.settings import Config
from polls.domain.access_keys import new_key
from polls.domain.errors import PollsUnavailable
from polls.web.http.access_log import AccessLogger
from polls.web.routes import VIEWS
from tests.conftest import CreatePoll
from tests.web.conftest import Client

KEY = new_key()
ERRORS: dict[str, type[Exception]] = {
    "broken": ZeroDivisionError,
    "unavailable": PollsUnavailable,
    "forbidden": web.HTTPForbidden,
    "unauthorized": web.HTTPUnauthorized,
}
PATHS = {
    **{f"/{name}/as/{KEY}": "/{fault}/as/{key}" for name in ERRORS},
    f"/poll/1/as/{KEY}?x={KEY}": "/poll/{slug}/as/{key}",
    f"/poll/1/as/{KEY}/": "/poll/1/as/{key}",
    f"/poll/1/as/{KEY}/manage": "/poll/1/as/{key}",
    f"/poll/1/as/{KEY[:25]}": "/poll/{slug}/as/{key}",
    f"/poll/1/as/x{KEY}": "/poll/{slug}/as/{key}",
    f"/poll/1/AS%2F{KEY}": "/poll/1/AS/{key}",
    f"/x/poll//as/{KEY}": "/x/poll//as/{key}",
}


@pytest.fixture
async def client(config: Config, aiohttp_server: Any, create_poll: CreatePoll) -> Client:
    """A client of an application with a route that fails as its path says."""
    create_poll("Tea?", "Yes")
    app = create_app(config)

    async def fail(request: web.Request) -> web.StreamResponse:
        raise ERRORS[request.match_info["fault"]]

    app.router.add_get("/{fault}/as/{key}", fail)
    return TestClient(await aiohttp_server(app, access_log_class=AccessLogger))


async def test_logs_have_the_pattern_of_a_route_with_a_key(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with client:
        for path in PATHS:
            await client.get(path, allow_redirects=False)

    lines = [record.getMessage().split() for record in caplog.records if record.name == "aiohttp.access"]
    assert [path for _, path, *_ in lines] == list(PATHS.values())
    assert KEY[:25] not in caplog.text
    assert "GET /{fault}/as/{key} failed" in caplog.text


async def test_error_pages_have_no_link_with_a_key_and_send_no_referrer(client: Client) -> None:
    async with client:
        for path in PATHS:
            response = await client.get(path, allow_redirects=False)
            headers = "".join(response.headers.values())
            assert KEY[:25] not in await response.text() + headers, path
            assert response.headers["Referrer-Policy"] == "no-referrer", path


def test_a_route_with_a_key_is_below_as() -> None:
    """Paths that match no route are recognized by that, also by nginx.conf."""
    assert [path for path, _, _ in VIEWS if "{key" in path and not path.partition("/{key")[0].endswith("/as")] == []
