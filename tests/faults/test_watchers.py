"""WebSockets while connections, processes and databases are lost: right totals in the end, no older revision."""

import http.client
import json
import re
import resource
import signal
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from time import monotonic, sleep
from urllib.parse import urlsplit

import pytest

from tests.faults.conftest import Expect, Serve, settings
from tests.support.crowd import Crowd
from tests.support.processes import Polls, eventually, serving
from tests.support.servers import Server
from tests.support.watchers import Watchers, connect, vote

SUPPORT = Path(__file__).parents[1] / "support"

TERMINATE_LISTENERS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE pid <> pg_backend_pid() AND (query = 'LISTEN polls' OR query LIKE 'SELECT clock_timestamp(), %')
"""


@pytest.fixture(autouse=True)
def _many_files() -> Iterator[None]:
    """Raise the limit of open files: each watcher is one in the test's process, too."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def all_see(watchers: Watchers, total: int, seconds: float) -> bool:
    return eventually(lambda: watchers.votes == {total}, seconds)


def ballots(server: Server) -> int:
    ((count,),) = server.execute("SELECT count(*) FROM ballot")
    return int(str(count))


def resident(pid: int) -> int:
    """Return the resident memory of a process in kB."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])  # type: ignore[index]


def open_files(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def test_watchers_have_right_totals_after_the_listener_was_disconnected_under_load(
    serve: Serve, server: Server, expect_exact: Expect
) -> None:
    with serve() as polls, Watchers([polls.url], 100) as watchers:
        with Crowd([polls.url]) as crowd:
            terminated = 0
            for _ in range(6):
                sleep(0.5)
                terminated += len(server.execute(TERMINATE_LISTENERS))

        assert all_see(watchers, crowd.total(), seconds=2)
        assert terminated >= 3
        assert not watchers.went_back
        assert (watchers.reconnects, watchers.open) == (0, 100)
        with urllib.request.urlopen(f"{polls.url}/readyz", timeout=10) as answer:
            assert json.load(answer)["listener"] == "connected"
    expect_exact(crowd)


def test_more_than_a_thousand_watchers_stay_connected_when_the_database_restarts(serve: Serve, server: Server) -> None:
    """aiopg calls select() for failed connections, and select() fails for file numbers above 1,023."""
    with serve() as polls, Watchers([polls.url], 1100) as watchers, ExitStack() as visitors:
        totals = 0
        for _ in range(2):
            with Crowd([polls.url]) as crowd:
                sleep(1)
                server.stop()
                # Use up the file numbers of the lost connections, so that the next ones are above 1,023.
                for _ in range(50):
                    visitors.enter_context(socket.create_connection(("127.0.0.1", urlsplit(polls.url).port or 0)))
                sleep(1)
                server.start()
                restarted = monotonic()
                sleep(1)
            totals += crowd.total()

            assert all_see(watchers, ballots(server), seconds=5)
            assert monotonic() - restarted < 5 + 6  # includes the responses to the last voters
        assert not watchers.went_back
        assert (watchers.reconnects, watchers.open) == (0, 1100)
        assert ballots(server) == totals
        assert "Traceback" not in polls.log.read_text()


def test_watchers_who_never_read_delay_no_others_and_are_disconnected(
    serve: Serve, server: Server, expect_exact: Expect, tmp_path: Path
) -> None:
    program = (str(SUPPORT / "short_heartbeat.py"),)
    with serve() as polls:
        pass
    server.execute("INSERT INTO choice (question_id, choice_text) SELECT 1, 'Perhaps' FROM generate_series(1, 98)")
    with (
        serving(tmp_path, f"--config={tmp_path / 'polls.yaml'}", program=program) as polls,
        Watchers([polls.url], 20) as reading,
        ExitStack() as idle,
    ):
        before = open_files(polls.process.pid)
        for _ in range(200):
            watcher = connect(polls.url)
            watcher.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            idle.callback(watcher.socket.close)
        memory = resident(polls.process.pid)
        assert open_files(polls.process.pid) == before + 200

        with Crowd([polls.url]) as crowd:
            sleep(4)
            grown = resident(polls.process.pid) - memory
            sleep(4)

        assert all_see(reading, crowd.total(), seconds=2)
        assert grown < 10_000
        assert resident(polls.process.pid) - memory < 10_000
        assert eventually(lambda: open_files(polls.process.pid) <= before + 5, 10)  # they are disconnected
        assert (reading.reconnects, reading.open) == (0, 20)
    expect_exact(crowd)


def test_closed_connections_leave_no_files_and_no_objects(serve: Serve, server: Server, tmp_path: Path) -> None:
    program = (str(SUPPORT / "counted_objects.py"),)

    def connect_and_close(polls: Polls, times: int) -> None:
        for number in range(times):
            watcher = connect(polls.url)
            if number % 2:
                watcher.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset
            watcher.socket.close()
        assert eventually(lambda: open_files(polls.process.pid) <= files, 10)

    def allocated_blocks(polls: Polls) -> int:
        """Return how many blocks of memory the process's objects use, without garbage."""
        sleep(0.5)  # closed connections are forgotten every sixth of the write time-out
        lines = polls.log.read_text().count("\n")
        polls.process.send_signal(signal.SIGUSR1)
        assert eventually(lambda: polls.log.read_text().count("\n") > lines)
        return int(polls.log.read_text().splitlines()[-1])

    with serve():
        pass
    config = settings(server, limits={"write_timeout": 1})
    with serving(tmp_path, config=config, program=program) as polls:
        files = open_files(polls.process.pid)
        connect_and_close(polls, 300)  # fills caches
        before = allocated_blocks(polls)
        connect_and_close(polls, 2_000)

        assert allocated_blocks(polls) - before < 1_000  # half an object for each connection


def test_a_vote_through_one_process_is_seen_by_watchers_and_readers_of_the_other(serve: Serve) -> None:
    with serve() as one, serve(poll=False) as other, Watchers([one.url, other.url], 20) as watchers:
        hosts = [url.removeprefix("http://") for url in (one.url, other.url)]
        for counted in range(1, 301):
            voting, reading = (http.client.HTTPConnection(hosts[(counted + turn) % 2]) for turn in (0, 1))
            revision = vote(voting)
            reading.request("GET", f"/poll/1/results?after={revision}")
            page = reading.getresponse().read().decode()
            assert int(re.search(r"(\d+) votes? in all", page)[1]) == counted  # type: ignore[index]
            voting.close()
            reading.close()

        assert all_see(watchers, 300, seconds=2)
        assert not watchers.went_back


def test_watchers_of_a_killed_process_reconnect_to_the_other(serve: Serve, expect_exact: Expect) -> None:
    with (
        serve() as one,
        serve(poll=False) as other,
        Watchers([one.url, other.url], 100) as watchers,
    ):
        with Crowd([one.url, other.url]) as crowd:
            sleep(1)
            one.process.send_signal(signal.SIGKILL)
            one.process.wait()
            sleep(1)

        assert eventually(lambda: watchers.open == len(watchers.watchers) == 100, 5)
        assert {watcher.url for watcher in watchers.watchers} == {other.url}
        assert eventually(lambda: len(watchers.votes) == 1, 5)
        assert watchers.reconnects == 50
        assert not watchers.went_back
    expect_exact(crowd, at_most=sum(crowd.answers.values()))


def test_a_process_with_a_thousand_watchers_ends_in_order_within_five_seconds(
    serve: Serve, expect_exact: Expect
) -> None:
    with serve() as polls, Watchers([polls.url], 1000) as watchers:
        with Crowd([polls.url], retries=False) as crowd:
            sleep(1)
            connected = list(watchers.watchers)
            started = monotonic()
            status = polls.end(signal.SIGTERM)
            seconds = monotonic() - started
        codes = [watcher.closed for watcher in connected]

    assert status == 0
    assert seconds < 5
    assert set(codes) == {1001}
    assert "Traceback" not in polls.log.read_text()
    expect_exact(crowd, at_most=crowd.total() + crowd.unacknowledged)
