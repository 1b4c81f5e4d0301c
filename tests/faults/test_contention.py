"""Concurrent votes for the same rows, over several processes."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import aiohttp
import pytest

from tests.faults.conftest import CHOICES_OF_METHODS, FORMS, CrowdOfMethods, Expect, Serve, prepare, settings
from tests.support.crowd import Crowd
from tests.support.processes import command
from tests.support.servers import Server

VOTERS = [f"polls_voter={number:032x}" for number in range(3)]


async def post(session: aiohttp.ClientSession, url: str, voter: str, choice: int) -> int:
    """Vote for one of the two choices of a poll, and return the status."""
    form = FORMS.get(choice, [("choice", str(choice))])
    address = f"{url}/poll/{(choice + 1) // 2}/vote"
    async with session.post(address, data=form, headers={"Cookie": voter}, allow_redirects=False) as answer:
        return answer.status


async def change_ballots(urls: list[str], clients: int, changes: int, choices: Sequence[int] = (1, 2)) -> Counter[int]:
    """Run `clients` concurrent clients that change the ballots of the same three voters, and count the statuses."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:

        async def client(number: int) -> list[int]:
            url = urls[number % len(urls)]
            return [
                await post(session, url, random.choice(VOTERS), random.choice(choices))
                for _ in range(changes * len(VOTERS))
            ]

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(client(number)) for number in range(clients)]
        return Counter(status for task in tasks for status in task.result())


def verify(folder: Path) -> int:
    return command(folder, "verify", "--config=polls.yaml").returncode


def test_forty_concurrent_posts_of_one_voter_are_one_ballot_in_each_poll(
    serve: Serve, server: Server, tmp_path: Path
) -> None:
    async def post_concurrently(urls: list[str], choices: list[int]) -> set[int]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            posts = (post(session, urls[number % 2], VOTERS[0], choices[number // 2 % 2]) for number in range(40))
            return set(await asyncio.gather(*posts))

    with serve(methods=True) as one, serve(poll=False) as other:
        for choices in CHOICES_OF_METHODS.values():
            assert asyncio.run(post_concurrently([one.url, other.url], choices)) == {303}

    assert server.execute("SELECT ballots FROM question") == [(1,)] * 3
    assert server.execute("SELECT sum(votes)::int FROM choice WHERE question_id = 1") == [(1,)]
    assert verify(tmp_path) == 0


@pytest.mark.parametrize("server", [min, max], ids=["oldest", "newest"], indirect=True)
def test_eight_clients_changing_the_same_nine_ballots_leave_exact_counts(
    serve: Serve, server: Server, tmp_path: Path
) -> None:
    with serve(methods=True) as one, serve(poll=False) as other:
        answers = asyncio.run(change_ballots([one.url, other.url], clients=8, changes=300, choices=range(1, 7)))

    assert answers == {303: 8 * 300 * 3}
    assert server.execute("SELECT count(*) FROM ballot GROUP BY question_id") == [(3,)] * 3
    assert verify(tmp_path) == 0


def test_ballots_for_a_hundred_polls_from_three_processes_cause_no_deadlock(
    tmp_path: Path, server: Server, serve: Serve, expect_exact: Expect
) -> None:
    prepare(tmp_path, server, settings(server), polls=100)
    polls = {poll: [2 * poll - 1, 2 * poll] for poll in range(1, 101)}
    with ExitStack() as processes:
        urls = [processes.enter_context(serve(poll=False)).url for _ in range(3)]
        with Crowd(urls, polls) as crowd:
            time.sleep(4)

    assert crowd.answers.keys() == {303}
    assert "deadlock" not in server.log.read_text()
    expect_exact(crowd)


def test_voters_who_disconnect_after_three_milliseconds_and_retry_are_counted_once(
    serve: Serve, expect_exact: Expect
) -> None:
    with (
        serve(methods=True) as one,
        serve(poll=False) as other,
        CrowdOfMethods([one.url, other.url], voters=2500, hangs_up=True) as crowd,
    ):
        pass

    assert crowd.answers["hung up"] > 100
    assert crowd.total() == 2500
    expect_exact(crowd)


def test_voters_who_disconnect_and_do_not_retry_are_counted_at_most_once(serve: Serve, expect_exact: Expect) -> None:
    with (
        serve() as one,
        serve() as other,
        Crowd([one.url, other.url], voters=2500, hangs_up=True, retries=False) as crowd,
    ):
        pass

    assert crowd.unacknowledged > 100
    assert crowd.total() + crowd.unacknowledged == 2500
    expect_exact(crowd, at_most=2500)
