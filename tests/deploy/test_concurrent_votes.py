"""Concurrent votes, and concurrent forms of one new poll, at two processes."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import aiohttp
import pytest

from polls.config.settings import Postgres
from polls.domain.access_keys import new_key
from polls.storage.postgres.connect import Connection
from tests.conftest import CreatePoll
from tests.support.processes import serving


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> Iterator[tuple[str, str]]:
    """Serve polls in two processes, with one database."""
    folder = tmp_path_factory.mktemp("two")
    config: dict[str, Any] = {
        "postgres": {key: value for key, value in asdict(postgres).items() if value is not None},
        "creating": {"who": "anyone"},
    }
    with serving(folder, config=config) as one, serving(folder, config=config) as other:
        yield one.url, other.url


async def post_concurrently(count: int, addresses: list[str], form: dict[str, str]) -> list[tuple[int, str]]:
    """Post `form` many times at once, to the addresses in turns. Return the statuses and redirects."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def post(address: str) -> tuple[int, str]:
            response = await session.post(address, data=form, allow_redirects=False)
            return response.status, response.headers.get("Location", "")

        return await asyncio.gather(*(post(addresses[number % len(addresses)]) for number in range(count)))


def test_200_concurrent_votes_at_two_processes_raise_the_count_by_exactly_200(
    urls: tuple[str, str], create_poll: CreatePoll, votes: Callable[[], list[int]]
) -> None:
    create_poll("Tea?", "Yes", "No", votes=(5, 0))

    answers = asyncio.run(post_concurrently(200, [f"{url}/poll/1/vote" for url in urls], {"choice": "1"}))

    assert Counter(status for status, _ in answers) == {303: 200}
    assert votes() == [205, 0]


def test_a_form_that_is_sent_20_times_at_once_to_two_processes_makes_one_poll(
    urls: tuple[str, str], database: Connection
) -> None:
    form = {"text": "Tea?", "choice.0.text": "Yes", "choice.1.text": "No", "access_key": new_key()}

    answers = asyncio.run(post_concurrently(20, [f"{url}/ask" for url in urls], form))

    with database.cursor() as cursor:
        cursor.execute("SELECT slug FROM question")
        ((slug,),) = cursor.fetchall()
    assert set(answers) == {(303, f"/poll/{slug}/manage")}
