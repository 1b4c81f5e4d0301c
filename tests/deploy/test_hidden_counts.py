"""Two processes with one database while the vote that the results need is cast, and while the end passes.

All that watchers and readers get is checked: nobody sees a count before, and everybody entitled to sees it after.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from time import time
from typing import Any, NamedTuple

import aiohttp
import pytest

from polls.config.settings import Postgres
from polls.domain.settings import PollSettings, Results
from polls.storage.postgres.connect import Connection
from tests.conftest import CreatePoll
from tests.support.processes import serving

ENOUGH, VOTERS = 8, 30
SEALED = PollSettings(results=Results.AFTER_CLOSE, is_sealed=True)
CLOCK_ERROR = 0.05  # seconds by which a process may know the database's time wrongly

_BALLOTS = re.compile(r'class="(?:turnout|subheading total)">(\d+)')


class Seen(NamedTuple):
    """What a message or page said, and when it had arrived: how many voted, and whether it had counts."""

    at: float  # time()
    ballots: int
    has_counts: bool


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> Iterator[tuple[str, str]]:
    """Serve polls in two processes, with one database."""
    folder = tmp_path_factory.mktemp("two")
    named = {key: value for key, value in asdict(postgres).items() if value is not None}
    with (
        serving(folder, config={"postgres": named}) as one,
        serving(folder, config={"postgres": named}) as other,
    ):
        yield one.url, other.url


async def watch(session: aiohttp.ClientSession, url: str, seen: list[Seen]) -> None:
    """Add all messages of a WebSocket to `seen`."""
    async with session.ws_connect(f"{url}/poll/1/live") as socket:
        async for frame in socket:
            message: dict[str, Any] = json.loads(frame.data)
            if "revision" in message:
                assert ("votes" in frame.data) is (message["choices"] is not None)
                seen.append(Seen(time(), message["ballots"], message["choices"] is not None))


async def read(session: aiohttp.ClientSession, url: str, seen: list[Seen]) -> None:
    """Read the results again and again, and add what they say to `seen`."""
    while True:
        async with session.get(f"{url}/poll/1/results") as response:
            seen.append(_seen_on(await response.text()))
        await asyncio.sleep(0.02)


def _seen_on(page: str) -> Seen:
    ballots = _BALLOTS.search(page)
    assert ballots, page
    return Seen(time(), int(ballots[1]), "data-choice" in page)


async def vote(session: aiohttp.ClientSession, url: str) -> str:
    """Vote as a new voter, and return the next page."""
    async with session.post(f"{url}/poll/1/vote", data={"choice": "1"}) as response:
        assert response.status == 200
        return await response.text()


@asynccontextmanager
async def audience(urls: tuple[str, str]) -> AsyncIterator[tuple[aiohttp.ClientSession, list[list[Seen]]]]:
    """Watch and read at both processes; yield a session without cookies, and what each has seen so far."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Language": "en"},
    ) as session:
        seen: list[list[Seen]] = [[], [], [], []]
        follow = [(watch, urls[0]), (watch, urls[1]), (read, urls[0]), (read, urls[1])]
        tasks = [
            asyncio.create_task(function(session, url, each))
            for (function, url), each in zip(follow, seen, strict=True)
        ]
        await until(lambda: all(seen))
        yield session, seen
        for task in tasks:
            assert not task.done()
            task.cancel()
        await asyncio.wait(tasks)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not condition():
            await asyncio.sleep(0.01)


def test_counts_are_shown_with_the_vote_that_was_missing_and_not_before(
    urls: tuple[str, str], create_poll: CreatePoll
) -> None:
    create_poll("Tea?", "Yes", "No", settings=PollSettings(results_from=ENOUGH))

    async def run() -> tuple[list[str], list[list[Seen]]]:
        async with audience(urls) as (session, seen):
            for number in range(ENOUGH - 1):
                await vote(session, urls[number % 2])
            await until(lambda: all(each[-1].ballots == ENOUGH - 1 for each in seen))
            others = range(ENOUGH - 1, VOTERS)
            pages = await asyncio.gather(*(vote(session, urls[number % 2]) for number in others))
            await until(lambda: all(each[-1].ballots == VOTERS for each in seen))
            return pages, seen

    pages, seen = asyncio.run(run())

    for each in seen:
        assert [one for one in each if one.has_counts is not (one.ballots >= ENOUGH)] == []
    # A voter is led to the results by the process that counted enough, and to their ballot before.
    for one in (_seen_on(page) for page in pages if "own-ballot" not in page and "hasn't voted" not in page):
        assert one.has_counts
        assert one.ballots >= ENOUGH
    assert not [page for page in pages if "hasn't voted" in page and "data-choice" in page]


def test_counts_are_shown_after_the_end_and_not_before(
    urls: tuple[str, str], create_poll: CreatePoll, database: Connection
) -> None:
    create_poll("Tea?", "Yes", "No", votes=(2, 1), settings=SEALED)
    with database.cursor() as cursor:
        cursor.execute(
            "UPDATE question SET closes_at = clock_timestamp() + interval '1.5 seconds' "
            "RETURNING extract(epoch FROM closes_at)"
        )
        ((end,),) = cursor.fetchall()

    async def run() -> list[list[Seen]]:
        async with audience(urls) as (_, seen):
            await until(lambda: all(each[-1].has_counts for each in seen))
            return seen

    seen = asyncio.run(run())

    for each in seen:
        assert not each[0].has_counts
        assert [one for one in each if one.has_counts and one.at < float(end) - CLOCK_ERROR] == []
        assert each == sorted(each, key=lambda one: one.has_counts)  # once shown, never hidden again
