"""Negative controls: the same tests find faults that are built in on purpose."""

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.faults.conftest import Serve, prepare, settings
from tests.faults.test_contention import change_ballots, verify
from tests.support import broken
from tests.support.crowd import Crowd
from tests.support.healthz import MAX_SECONDS, healthy
from tests.support.processes import Polls, serving
from tests.support.servers import Server, running


@pytest.fixture
def serve_broken(tmp_path: Path, server: Server) -> Serve:
    """Serve polls with a fault of tests/support/broken.py."""

    def serve_broken(fault: str) -> AbstractContextManager[Polls]:
        prepare(tmp_path, server, settings(server))
        return serving(tmp_path, config=settings(server), program=(broken.__file__, fault))

    return serve_broken


def test_locking_and_counting_in_one_statement_gives_wrong_counts(serve_broken: Serve, tmp_path: Path) -> None:
    with serve_broken("one-statement") as one, serve_broken("one-statement") as other:
        asyncio.run(change_ballots([one.url, other.url], clients=8, changes=300))

    assert verify(tmp_path) == 1


def test_without_the_unique_key_retries_are_counted_twice(serve_broken: Serve, server: Server) -> None:
    with serve_broken("no-key") as one:
        server.execute("ALTER TABLE ballot DROP CONSTRAINT ballot_pkey")
        with Crowd([one.url], voters=1500, hangs_up=True) as crowd:
            pass

    ((ballots,),) = server.execute("SELECT count(*)::int FROM ballot")
    assert crowd.total() == 1500
    assert ballots > 1500  # type: ignore[operator]


class TestWithoutSynchronousCommit:
    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[Server]:
        with running(tmp_path, {"synchronous_commit": "off", "wal_writer_delay": "10s"}) as server:
            yield server

    def test_acknowledged_votes_are_lost_when_the_database_is_killed(self, serve: Serve, server: Server) -> None:
        with serve() as polls:
            server.execute("CHECKPOINT")  # keep the poll itself
            with Crowd([polls.url]) as crowd:
                time.sleep(1.5)
                server.kill()
                server.start()
                time.sleep(1)

        ((ballots,),) = server.execute("SELECT count(*)::int FROM ballot")
        assert ballots < crowd.total()  # type: ignore[operator]
        assert "synchronous_commit is off" in polls.log.read_text()


def test_a_process_that_answers_late_is_found(serve: Serve) -> None:
    def freeze(polls: Polls) -> None:
        with healthy(polls.url):
            polls.process.send_signal(signal.SIGSTOP)
            time.sleep(MAX_SECONDS + 0.2)
            polls.process.send_signal(signal.SIGCONT)

    with serve() as polls, pytest.raises(AssertionError, match=r"the slowest of \d+ answers was 200 after 1\."):
        freeze(polls)
