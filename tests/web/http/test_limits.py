"""What visitors hear who are too slow, too many, or ask for too much."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import DummyCookieJar, WSServerHandshakeError
from aiohttp.test_utils import TestClient
from aiohttp.web import AppRunner

from polls.app import create_app
from polls.config.settings import Config, Limits
from polls.web.http import limits as module
from polls.web.http.limits import most_connections, most_watchers
from tests.conftest import Ask
from tests.support.pages import find, parse, words

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
AS_PROGRAM = {"Accept": "application/json"}

Votes = Callable[[], list[int]]


async def vote(client: TestClient, choice: int = 1, voter: int | None = None, **headers: str) -> Any:
    cookie = {} if voter is None else {"Cookie": f"voter={voter:032x}"}
    return await client.post("/poll/1/vote", data={"choice": choice}, headers=cookie | headers, allow_redirects=False)


@pytest.fixture
async def limited(config: Config, aiohttp_client: Any, ask: Ask) -> TestClient:
    """A client of an application that lets two voters a minute in from each network, and is impatient."""
    ask("Tea?", "Yes", "No")
    limits = Limits(body_timeout=1, websockets=2)
    votes = replace(config.votes, rate_limit=2)
    app = create_app(replace(config, trusted_proxies=1, votes=votes, limits=limits))
    return await aiohttp_client(app, cookie_jar=DummyCookieJar())  # each request is another browser's


async def dripping() -> AsyncIterator[bytes]:
    for piece in b"choice=1&x=" + b"x" * 100:
        yield bytes([piece])
        await asyncio.sleep(0.2)


async def test_a_form_that_drips_is_refused_in_words(limited: TestClient, votes: Votes) -> None:
    response = await limited.post("/poll/1/vote", data=dripping(), headers=FORM)

    assert response.status == 408
    assert "Sending the form took too long. Nothing was saved. Try again." in words(parse(await response.text()))
    assert response.headers["Connection"] == "close"
    assert votes() == [0, 0]


async def test_programs_are_told_so_as_json(limited: TestClient) -> None:
    response = await limited.post("/poll/1/vote", data=dripping(), headers=FORM | AS_PROGRAM)

    assert (response.status, response.content_type) == (408, "application/problem+json")
    assert (await response.json())["title"] == "Request timed out"


async def test_after_so_many_voters_from_a_network_the_next_is_asked_to_wait_and_keeps_the_choice(
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
    assert refused.headers["Set-Cookie"].startswith("voter=")
    assert refused.headers["Cache-Control"] == "no-store"
    assert votes() == [2, 0]


async def test_programs_are_told_as_json_when_to_come_back(limited: TestClient) -> None:
    for _ in range(2):
        await vote(limited)

    refused = await vote(limited, **AS_PROGRAM)

    assert (refused.status, refused.content_type) == (429, "application/problem+json")
    assert 0 < int(refused.headers["Retry-After"]) <= 60


async def test_who_has_voted_may_change_their_mind_all_the_same(limited: TestClient, votes: Votes) -> None:
    await vote(limited, 1, voter=1)
    await vote(limited, 1, voter=2)

    assert [(await vote(limited, 2, voter=1)).status for _ in range(3)] == [303, 303, 303]
    assert votes() == [1, 1]


@pytest.mark.parametrize(
    ("other", "status"),
    [
        ("192.0.2.8", 303),
        ("192.0.2.7", 429),
        ("::ffff:192.0.2.7", 429),
        ("192.0.2.8, 192.0.2.7", 429),  # what a visitor wrote doesn't count
        ("192.0.2.7:5678", 429),
        ("192.0.2.8:5678", 303),
        ("[::ffff:192.0.2.7]:5678", 429),
    ],
)
async def test_networks_are_told_from_each_other(limited: TestClient, other: str, status: int) -> None:
    for _ in range(2):
        await vote(limited, **{"X-Forwarded-For": "192.0.2.7"})

    assert (await vote(limited, **{"X-Forwarded-For": other})).status == status


@pytest.mark.parametrize(("other", "status"), [("2001:db8:0:1::9", 429), ("2001:db8:0:2::1", 303)])
async def test_an_address_of_version_6_is_its_first_half(limited: TestClient, other: str, status: int) -> None:
    for place in (1, 2):
        await vote(limited, **{"X-Forwarded-For": f"2001:db8:0:1::{place}"})

    assert (await vote(limited, **{"X-Forwarded-For": other})).status == status


@pytest.mark.parametrize("word", ["unknown", "192.0.2.7.8", "[", "[]:1", "[::1", "192.0.2.7:x", "x" * 5000])
async def test_where_no_address_is_known_nobody_has_to_wait(limited: TestClient, word: str) -> None:
    for _ in range(5):
        assert (await vote(limited, **{"X-Forwarded-For": word})).status == 303


async def test_by_default_a_class_may_vote_at_once(client: TestClient, ask: Ask, votes: Votes) -> None:
    ask("Tea?", "Yes")

    answers = await asyncio.gather(*(vote(client) for _ in range(100)))

    assert {answer.status for answer in answers} == {303}
    assert votes() == [100]


async def test_beyond_so_many_watchers_the_next_is_told_to_come_later(limited: TestClient) -> None:
    watching = [await limited.ws_connect("/poll/1/live") for _ in range(2)]

    with pytest.raises(WSServerHandshakeError) as refused:
        await limited.ws_connect("/poll/1/live")

    assert (refused.value.status, (refused.value.headers or {})["Retry-After"]) == (503, "30")
    assert (await limited.get("/poll/1/results")).status == 200
    await watching[0].close()
    async with asyncio.timeout(10):
        while (await limited.get("/poll/1/live")).status != 426:  # not full any more
            await asyncio.sleep(0.01)
    await limited.ws_connect("/poll/1/live")


async def test_the_limits_hold_whoever_runs_the_application(config: Config) -> None:
    """gunicorn's worker makes a runner like this one, with a number and a log of its own."""
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
    ("files", "limits", "connections", "watchers"),
    [
        (1_000_000, Limits(), 20_000, 15_000),
        (-1, Limits(), 20_000, 15_000),  # without end
        (1024, Limits(), 774, 580),
        (256, Limits(), 128, 96),
        (1024, Limits(connections=100, websockets=10), 100, 10),
        (1024, Limits(connections=5000), 774, 580),
        (1_000_000, Limits(connections=50_000), 50_000, 37_500),
    ],
)
def test_there_are_as_many_connections_as_there_may_be_open_files(
    monkeypatch: pytest.MonkeyPatch, files: int, limits: Limits, connections: int, watchers: int
) -> None:
    monkeypatch.setattr(module.resource, "getrlimit", lambda _: (files, files))

    assert (most_connections(limits), most_watchers(limits)) == (connections, watchers)
