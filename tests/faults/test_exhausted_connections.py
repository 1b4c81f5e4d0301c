"""PostgreSQL whose connections are all in use, at the start and while polls runs."""

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psycopg2
import pytest

from tests.faults.conftest import Expect, Serve, prepare, readiness, settings
from tests.faults.test_lost_database import RECOVERY_TIMEOUT, first_vote_after
from tests.support.crowd import Crowd
from tests.support.healthz import healthy
from tests.support.processes import command, eventually
from tests.support.servers import Server, running

MAX_CONNECTIONS = 12

ADVICE = (
    r"All connections of PostgreSQL are in use: raise max_connections there \(or the limit of the role or the "
    r"database\), "
    r"or lower postgres\.maxsize \(5, and 2 more in each process\) or the number of processes\."
)

TERMINATE_POLLS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'polls'"


class Others:
    """Other programs, which use all connections that they can get."""

    def __init__(self, server: Server, stack: ExitStack) -> None:
        self._server, self._stack = server, stack
        self._connections = [stack.enter_context(server.connect())]

    def take_all(self) -> None:
        with suppress(psycopg2.OperationalError):
            while True:
                self._connections.append(self._stack.enter_context(self._server.connect()))

    def displace_polls(self) -> bool:
        """Take the connections of polls; return whether it has none any more."""
        with self._connections[0].cursor() as cursor:
            cursor.execute(TERMINATE_POLLS)
        self.take_all()
        return len(self._connections) == MAX_CONNECTIONS


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running(tmp_path, {"max_connections": str(MAX_CONNECTIONS)}) as server:
        yield server


def test_connections_that_are_all_in_use_get_advice_at_the_start(server: Server, tmp_path: Path) -> None:
    prepare(tmp_path, server, settings(server))
    with ExitStack() as stack:
        Others(server, stack).take_all()
        for arguments in (["--port=0"], ["doctor"]):
            done = command(tmp_path, *arguments, "--config=polls.yaml")

            assert done.returncode == 1
            assert re.search(rf": sorry, too many clients already\. {ADVICE}$", done.stderr + done.stdout), done


def test_voting_recovers_after_all_connections_were_in_use(serve: Serve, server: Server, expect_exact: Expect) -> None:
    with serve() as polls, healthy(polls.url), Crowd([polls.url], concurrency=8, pause=0.02) as crowd:
        assert eventually(lambda: crowd.total() > 0)
        with ExitStack() as stack:
            others = Others(server, stack)
            assert eventually(others.displace_polls)
            reason = re.compile("votes can't be stored: .* sorry, too many clients already")
            assert eventually(lambda: reason.search(polls.log.read_text()))
            assert readiness(polls.url) == (503, "unreachable")
        freed = time.monotonic()

        assert first_vote_after(crowd, freed) < RECOVERY_TIMEOUT
        assert eventually(lambda: readiness(polls.url) == (200, "writable"), RECOVERY_TIMEOUT)

    assert crowd.answers[503] > 0
    assert "Traceback" not in polls.log.read_text()
    expect_exact(crowd)
