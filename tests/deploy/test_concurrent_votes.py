"""Concurrent votes at two processes."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import aiohttp

from polls.config.settings import Postgres
from tests.conftest import CreatePoll
from tests.support.processes import serving


def test_200_concurrent_votes_at_two_processes_raise_the_count_by_exactly_200(
    tmp_path: Path, postgres: Postgres, create_poll: CreatePoll, votes: Callable[[], list[int]]
) -> None:
    create_poll("Tea?", "Yes", "No", votes=(5, 0))
    config = {"postgres": {key: value for key, value in asdict(postgres).items() if value is not None}}

    async def vote_concurrently(*urls: str) -> Counter[int]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            async def vote(url: str) -> int:
                response = await session.post(f"{url}/poll/1/vote", data={"choice": "1"}, allow_redirects=False)
                return response.status

            return Counter(await asyncio.gather(*(vote(urls[number % len(urls)]) for number in range(200))))

    with serving(tmp_path, config=config) as one, serving(tmp_path, config=config) as other:
        statuses = asyncio.run(vote_concurrently(one.url, other.url))

    assert statuses == {303: 200}
    assert votes() == [205, 0]
