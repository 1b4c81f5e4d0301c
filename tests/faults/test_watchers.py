"""What watchers see while connections, processes and databases are lost: the truth in the end, and no step back."""

import http.client
import re
import resource
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from time import monotonic, sleep
from urllib.parse import urlsplit

import pytest

from tests.faults.conftest import Expect, Serve
from tests.support.crowd import Crowd
from tests.support.processes import Polls, eventually, serving
from tests.support.servers import Server
from tests.support.watchers import Watchers, connect, vote

CUT_OFF_LISTENERS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE pid <> pg_backend_pid() AND (query = 'LISTEN polls' OR query LIKE 'SELECT clock_timestamp(), %')
"""


@pytest.fixture(autouse=True)
def _many_files() -> Iterator[None]:
    """Each watcher is an open file here, too."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def see(watchers: Watchers, crowd_total: int, seconds: float) -> bool:
    return eventually(lambda: watchers.votes == {crowd_total}, seconds)


def ballots(server: Server) -> int:
    ((count,),) = server.execute("SELECT count(*) FROM ballot")
    return int(str(count))


def resident(pid: int) -> int:
    """Kilobytes of memory that a process has."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])  # type: ignore[index]


def open_files(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def test_watchers_are_right_after_the_notices_were_cut_off_in_a_storm(
    serve: Serve, server: Server, expect_exact: Expect
) -> None:
    with serve() as polls, Watchers([polls.url], 100) as watchers:
        with Crowd([polls.url]) as crowd:
            cuts = 0
            for _ in range(6):
                sleep(0.5)
                cuts += len(server.execute(CUT_OFF_LISTENERS))

        assert see(watchers, crowd.total(), seconds=2)
        assert cuts >= 3
        assert not watchers.fell
        assert (watchers.reconnects, watchers.open) == (0, 100)
        assert "pages come from memory" in polls.log.read_text()
    expect_exact(crowd)


def test_watchers_stay_when_the_database_restarts_even_more_than_a_thousand(serve: Serve, server: Server) -> None:
    """aiopg asks select() about connections that fail, and select() knows no file number past 1,023."""
    with serve() as polls, Watchers([polls.url], 1100) as watchers, ExitStack() as visitors:
        totals = 0
        for _ in range(2):
            with Crowd([polls.url]) as crowd:
                sleep(1)
                server.stop()
                # The numbers of the connections that were lost are taken: the next ones are past 1,023.
                for _ in range(50):
                    visitors.enter_context(socket.create_connection(("127.0.0.1", urlsplit(polls.url).port or 0)))
                sleep(1)
                server.start()
                back = monotonic()
                sleep(1)
            totals += crowd.total()

            assert see(watchers, ballots(server), seconds=5)
            assert monotonic() - back < 5 + 6  # the crowd's last voters are answered meanwhile
        assert not watchers.fell
        assert (watchers.reconnects, watchers.open) == (0, 1100)
        assert ballots(server) == totals
        assert "Traceback" not in polls.log.read_text()


def test_watchers_who_never_read_cost_nobody_anything(
    serve: Serve, server: Server, expect_exact: Expect, tmp_path: Path
) -> None:
    program = (str(Path(__file__).parents[1] / "support" / "impatient.py"),)
    with serve() as polls:
        pass
    server.execute("INSERT INTO choice (question_id, choice_text) SELECT 1, 'Perhaps' FROM generate_series(1, 98)")
    with (
        serving(tmp_path, f"--config={tmp_path / 'polls.yaml'}", program=program) as polls,
        Watchers([polls.url], 20) as quick,
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

        assert see(quick, crowd.total(), seconds=2)
        assert grown < 10_000
        assert resident(polls.process.pid) - memory < 10_000
        assert eventually(lambda: open_files(polls.process.pid) <= before + 5, 10)  # and they are dropped
        assert (quick.reconnects, quick.open) == (0, 20)
    expect_exact(crowd)


def test_coming_and_going_leaves_nothing_behind(serve: Serve) -> None:
    def come_and_go(polls: Polls) -> tuple[int, int]:
        """300 times, which is five times a second for a minute."""
        for number in range(300):
            watcher = connect(polls.url)
            if number % 2:
                watcher.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset
            watcher.socket.close()
        assert eventually(lambda: open_files(polls.process.pid) <= files, 10)
        return open_files(polls.process.pid), resident(polls.process.pid)

    with serve() as polls:
        files = open_files(polls.process.pid)
        # Garbage is collected seldom: it takes a while until there is as much as there ever will be.
        first = [come_and_go(polls) for _ in range(10)][-1]
        last = [come_and_go(polls) for _ in range(10)][-1]

        assert last[0] <= first[0]
        assert last[1] - first[1] < 1_000


def test_a_vote_through_one_process_is_seen_by_watchers_and_readers_of_the_other(serve: Serve) -> None:
    with serve() as one, serve(poll=False) as other, Watchers([one.url, other.url], 20) as watchers:
        urls = [one.url, other.url]
        addresses = [url.removeprefix("http://") for url in urls]
        for counted in range(1, 301):
            voting, reading = (http.client.HTTPConnection(addresses[(counted + turn) % 2]) for turn in (0, 1))
            revision = vote(voting)
            reading.request("GET", f"/poll/1/results?after={revision}")
            page = reading.getresponse().read().decode()
            assert int(re.search(r"(\d+) votes? in all", page)[1]) == counted  # type: ignore[index]
            voting.close()
            reading.close()

        assert see(watchers, 300, seconds=2)
        assert not watchers.fell


def test_watchers_of_a_process_that_is_killed_come_back_at_the_other(serve: Serve, expect_exact: Expect) -> None:
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
        assert not watchers.fell
    expect_exact(crowd, at_most=sum(crowd.answers.values()))


def test_ending_with_a_thousand_watchers_is_orderly_and_quick(serve: Serve, expect_exact: Expect) -> None:
    with serve() as polls, Watchers([polls.url], 1000) as watchers:
        with Crowd([polls.url], persistent=False) as crowd:
            sleep(1)
            everybody = list(watchers.watchers)
            begun = monotonic()
            status = polls.end(signal.SIGTERM)
            took = monotonic() - begun
        codes = [watcher.closed for watcher in everybody]

    assert status == 0
    assert took < 5
    assert set(codes) == {1001}
    assert "Traceback" not in polls.log.read_text()
    expect_exact(crowd, at_most=crowd.total() + crowd.gave_up)
