"""The same tests against what is broken on purpose: they must find it, or they would find nothing."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.faults.conftest import Serve, prepare, settings
from tests.faults.test_contention import change_again_and_again, verify
from tests.support import broken
from tests.support.crowd import Crowd
from tests.support.processes import Polls, serving
from tests.support.servers import Server, running


@pytest.fixture
def serve_broken(tmp_path: Path, server: Server) -> Serve:
    """Serve polls with a fault built in."""

    def serve_broken(fault: str) -> AbstractContextManager[Polls]:
        prepare(tmp_path, server, settings(server))
        return serving(tmp_path, config=settings(server), program=(broken.__file__, fault))

    return serve_broken


def test_locking_and_counting_in_one_statement_counts_wrongly(serve_broken: Serve, tmp_path: Path) -> None:
    with serve_broken("one-statement") as one, serve_broken("one-statement") as other:
        asyncio.run(change_again_and_again([one.url, other.url], clients=8, changes=300))

    assert verify(tmp_path) == 1


def test_without_the_key_those_who_try_again_are_counted_twice(serve_broken: Serve, server: Server) -> None:
    with serve_broken("no-key") as one:
        server.execute("ALTER TABLE ballot DROP CONSTRAINT ballot_pkey")
        with Crowd([one.url], voters=1500, hasty=True) as crowd:
            pass

    ((ballots,),) = server.execute("SELECT count(*)::int FROM ballot")
    assert crowd.total() == 1500
    assert ballots > 1500  # type: ignore[operator]


class TestWithoutSynchronousCommit:
    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[Server]:
        with running(tmp_path, {"synchronous_commit": "off", "wal_writer_delay": "10s"}) as server:
            yield server

    def test_votes_that_were_acknowledged_are_lost_when_the_database_is_killed(
        self, serve: Serve, server: Server
    ) -> None:
        with serve() as polls:
            server.execute("CHECKPOINT")  # the poll itself shall stay
            with Crowd([polls.url]) as crowd:
                time.sleep(1.5)
                server.kill()
                server.start()
                time.sleep(1)

        ((ballots,),) = server.execute("SELECT count(*)::int FROM ballot")
        assert ballots < crowd.total()  # type: ignore[operator]
        assert "synchronous_commit is off" in polls.log.read_text()
