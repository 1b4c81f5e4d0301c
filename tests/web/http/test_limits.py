"""Responses to clients that exceed a limit on time, votes or connections."""

import asyncio
import logging
import resource
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import DummyCookieJar, WSServerHandshakeError
from aiohttp.test_utils import TestClient
from aiohttp.web import AppRunner

from polls.app import create_app
from polls.config.settings import Config, Limits
from polls.web.http.limits import max_connections, max_websockets
from tests.conftest import CreatePoll
from tests.support.pages import find, parse, words

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
AS_JSON = {"Accept": "application/json"}

Votes = Callable[[], list[int]]


async def vote(client: TestClient, choice: int = 1, voter: int | None = None, **headers: str) -> Any:
    cookie = {} if voter is None else {"Cookie": f"polls_voter={voter:032x}"}
    return await client.post("/poll/1/vote", data={"choice": choice}, headers=cookie | headers, allow_redirects=False)


@pytest.fixture
async def limited(config: Config, aiohttp_client: Any, create_poll: CreatePoll) -> TestClient:
    """A client of an application with a limit of two voters a minute and network, and a body time-out of a second."""
    create_poll("Tea?", "Yes", "No")
    limits = Limits(body_timeout=1, websockets=2)
    votes = replace(config.votes, rate_limit=2)
    app = create_app(replace(config, trusted_proxies=1, votes=votes, limits=limits))
    return await aiohttp_client(app, cookie_jar=DummyCookieJar())  # each request comes from a new browser


async def slow_body() -> AsyncIterator[bytes]:
    for byte in b"choice=1&x=" + b"x" * 100:
        yield bytes([byte])
        await asyncio.sleep(0.2)


async def test_a_slow_form_is_rejected_with_an_error_page(limited: TestClient, votes: Votes) -> None:
    response = await limited.post("/poll/1/vote", data=slow_body(), headers=FORM)

    assert response.status == 408
    assert "Sending the form took too long. Nothing was saved. Try again." in words(parse(await response.text()))
    assert response.headers["Connection"] == "close"
    assert votes() == [0, 0]


async def test_a_slow_form_is_rejected_as_json_for_programs(limited: TestClient) -> None:
    response = await limited.post("/poll/1/vote", data=slow_body(), headers=FORM | AS_JSON)

    assert (response.status, response.content_type) == (408, "application/problem+json")
    assert (await response.json())["title"] == "Request timed out"


async def test_a_voter_beyond_the_rate_limit_is_asked_to_wait_and_keeps_the_choice(
    limited: TestClient, votes: Votes
) -> None:
    await limited.get("/poll/1")
    assert [(await vote(limited)).status for _ in range(2)] == [303, 303]

    refused = await vote(limited, choice=2)

    page = parse(await refused.text())
    assert refused.status == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    (message,) = find(page, "p", id="error")
    assert words(message).startswith("Many people have just voted from your network. Your vote was not counted.")
    assert [button.get("checked") is not None for button in find(page, "input", name="choice")] == [False, True]
    assert refused.headers["Set-Cookie"].startswith("polls_voter=")
    assert refused.headers["Cache-Control"] == "no-store"
    assert votes() == [2, 0]


async def test_a_rate_limited_vote_is_rejected_as_json_for_programs(limited: TestClient) -> None:
    for _ in range(2):
        await vote(limited)

    refused = await vote(limited, **AS_JSON)

    assert (refused.status, refused.content_type) == (429, "application/problem+json")
    assert 0 < int(refused.headers["Retry-After"]) <= 60


async def test_changing_a_ballot_is_not_rate_limited(limited: TestClient, votes: Votes) -> None:
    await vote(limited, 1, voter=1)
    await vote(limited, 1, voter=2)

    assert [(await vote(limited, 2, voter=1)).status for _ in range(3)] == [303, 303, 303]
    assert votes() == [1, 1]


@pytest.mark.parametrize(
    ("forwarded", "status"),
    [
        ("192.0.2.8", 303),
        ("192.0.2.7", 429),
        ("::ffff:192.0.2.7", 429),
        ("192.0.2.8, 192.0.2.7", 429),  # the client's own value doesn't count
        ("192.0.2.7:5678", 429),
        ("192.0.2.8:5678", 303),
        ("[::ffff:192.0.2.7]:5678", 429),
    ],
)
async def test_each_network_has_its_own_rate_limit(limited: TestClient, forwarded: str, status: int) -> None:
    for _ in range(2):
        await vote(limited, **{"X-Forwarded-For": "192.0.2.7"})

    assert (await vote(limited, **{"X-Forwarded-For": forwarded})).status == status


@pytest.mark.parametrize(("forwarded", "status"), [("2001:db8:0:1::9", 429), ("2001:db8:0:2::1", 303)])
async def test_ipv6_clients_are_limited_by_their_64_bit_network(
    limited: TestClient, forwarded: str, status: int
) -> None:
    for host in (1, 2):
        await vote(limited, **{"X-Forwarded-For": f"2001:db8:0:1::{host}"})

    assert (await vote(limited, **{"X-Forwarded-For": forwarded})).status == status


@pytest.mark.parametrize("forwarded", ["unknown", "192.0.2.7.8", "[", "[]:1", "[::1", "192.0.2.7:x", "x" * 5000])
async def test_clients_without_a_valid_address_are_not_rate_limited(limited: TestClient, forwarded: str) -> None:
    for _ in range(5):
        assert (await vote(limited, **{"X-Forwarded-For": forwarded})).status == 303


async def test_by_default_a_hundred_voters_of_one_network_can_vote_at_once(
    client: TestClient, create_poll: CreatePoll, votes: Votes
) -> None:
    create_poll("Tea?", "Yes")

    responses = await asyncio.gather(*(vote(client) for _ in range(100)))

    assert {response.status for response in responses} == {303}
    assert votes() == [100]


async def test_a_websocket_beyond_the_limit_is_rejected_with_retry_after(limited: TestClient) -> None:
    websockets = [await limited.ws_connect("/poll/1/live") for _ in range(2)]

    with pytest.raises(WSServerHandshakeError) as refused:
        await limited.ws_connect("/poll/1/live")

    assert (refused.value.status, (refused.value.headers or {})["Retry-After"]) == (503, "30")
    assert (await limited.get("/poll/1/results")).status == 200
    await websockets[0].close()
    async with asyncio.timeout(10):
        while (await limited.get("/poll/1/live")).status != 426:  # below the limit again
            await asyncio.sleep(0.01)
    await limited.ws_connect("/poll/1/live")


async def test_the_limits_apply_under_gunicorn(config: Config) -> None:
    """gunicorn's worker creates such a runner, with its own keep-alive time-out and logger."""
    runner = AppRunner(create_app(config), keepalive_timeout=75, logger=logging.getLogger("gunicorn.error"))
    await runner.setup()
    try:
        assert runner.server is not None
        handler = runner.server()
        assert handler.keepalive_timeout == config.limits.keepalive_timeout == 10
        assert handler.logger.name == "aiohttp.server"
        assert (handler.max_line_size, handler.max_field_size, handler.max_headers) == (8190, 8190, 64)
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("files", "limits", "connections", "websockets"),
    [
        (1_000_000, Limits(), 20_000, 15_000),
        (-1, Limits(), 20_000, 15_000),  # RLIM_INFINITY
        (1024, Limits(), 774, 580),
        (256, Limits(), 128, 96),
        (1024, Limits(connections=100, websockets=10), 100, 10),
        (1024, Limits(connections=5000), 774, 580),
        (1_000_000, Limits(connections=50_000), 50_000, 37_500),
    ],
)
def test_the_default_limits_depend_on_the_limit_of_open_files(
    monkeypatch: pytest.MonkeyPatch, files: int, limits: Limits, connections: int, websockets: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))

    assert (max_connections(limits), max_websockets(limits)) == (connections, websockets)
