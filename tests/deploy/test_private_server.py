"""polls with its private PostgreSQL: start, stop, kill and restart of either."""

import os
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import pytest

from polls.storage.postgres.embedded import PrivateServer
from tests.support.processes import command, eventually, processes_in, serving, write

CONFIG = {"postgres": {"embedded": "var/postgres"}}


def server(folder: Path) -> PrivateServer:
    return PrivateServer(folder / "var/postgres")


def postmasters(folder: Path) -> int:
    """Return the number of PostgreSQL servers on the data folder.

    The working directory of their child processes is the same folder, but so is that of the children's parent.
    """
    processes = processes_in(folder / "var/postgres")
    parents = [parent_of(pid) for pid in processes]
    return sum(parent is not None and parent not in processes for parent in parents)


def parent_of(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):  # the process has ended
        return None


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as response:
        return str(response.read().decode())


def vote(url: str, choice: int) -> None:
    form = urllib.parse.urlencode({"choice": choice}).encode()
    with urllib.request.urlopen(f"{url}/poll/1/vote", form, timeout=10) as response:
        assert response.status == 200


def test_the_first_start_creates_the_database_with_sample_polls(tmp_path: Path) -> None:
    with serving(tmp_path) as polls:
        page = get(polls.url)

        for text in ("What&#39;s new?", "Where should the next meet-up", "Which framework"):
            assert text in page
        assert "0 votes in all" in get(f"{polls.url}/poll/1/results")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_postgresql_is_stopped_at_the_end(tmp_path: Path, number: signal.Signals) -> None:
    with serving(tmp_path, config=CONFIG) as polls:
        assert postmasters(tmp_path) == 1

        assert polls.end(number) == 0

    assert postmasters(tmp_path) == 0


def test_ctrl_c_in_the_terminal_does_not_reach_postgresql(tmp_path: Path) -> None:
    with serving(tmp_path, config=CONFIG) as polls:
        assert os.getsid(server(tmp_path).pid or 0) != os.getsid(polls.process.pid)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("delay", [0, 0.02, 0.1])
def test_a_signal_during_the_start_stops_postgresql(tmp_path: Path, number: signal.Signals, delay: float) -> None:
    file = write(tmp_path, CONFIG)
    with subprocess.Popen(
        [sys.executable, "-m", "polls", f"--config={file}", "--port=0"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as starting:
        assert eventually(lambda: server(tmp_path).pid)
        time.sleep(delay)

        starting.send_signal(number)

        try:
            _, errors = starting.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            starting.kill()
            raise
    assert "Traceback" not in errors
    assert postmasters(tmp_path) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_repeated_signals_leave_no_postgresql_running(tmp_path: Path, number: signal.Signals) -> None:
    with serving(tmp_path, config=CONFIG) as polls:
        while polls.process.poll() is None:
            polls.process.send_signal(number)
            time.sleep(0.01)

    assert postmasters(tmp_path) == 0
    assert "Traceback" not in polls.log.read_text()


def test_votes_survive_kill_9_and_the_next_start_joins_the_server(tmp_path: Path) -> None:
    with serving(tmp_path, config=CONFIG) as polls:
        for _ in range(7):
            vote(polls.url, 1)
        polls.end(signal.SIGKILL)
    orphan = server(tmp_path).pid
    assert orphan is not None

    with serving(tmp_path, config=CONFIG) as polls:
        assert "7 votes in all" in get(f"{polls.url}/poll/1/results")
        assert server(tmp_path).pid == orphan
        assert postmasters(tmp_path) == 1
        polls.end()

    assert postmasters(tmp_path) == 0


def test_votes_survive_kill_9_of_all_processes(tmp_path: Path) -> None:
    with serving(tmp_path, config=CONFIG) as polls:
        for _ in range(7):
            vote(polls.url, 1)
        postmaster = server(tmp_path).pid
        polls.end(signal.SIGKILL)
        os.kill(postmaster or 0, signal.SIGKILL)

    with serving(tmp_path, config=CONFIG) as polls:
        assert "7 votes in all" in get(f"{polls.url}/poll/1/results")
        assert postmasters(tmp_path) == 1


def test_polls_recovers_when_postgresql_dies(tmp_path: Path) -> None:
    with serving(tmp_path, config=CONFIG) as polls:
        vote(polls.url, 1)
        before = server(tmp_path).pid
        os.kill(before or 0, signal.SIGKILL)
        assert eventually(lambda: server(tmp_path).pid not in {None, before})

        def answers() -> bool:
            try:
                return "1 vote in all" in get(f"{polls.url}/poll/1/results")
            except OSError:  # 503 for a moment
                return False

        assert eventually(answers)
        assert postmasters(tmp_path) == 1


def test_two_processes_share_a_server_and_the_last_one_stops_it(tmp_path: Path) -> None:
    with serving(tmp_path, config=CONFIG) as first, serving(tmp_path, config=CONFIG) as second:
        vote(first.url, 1)
        vote(second.url, 1)
        assert postmasters(tmp_path) == 1
        first.end()
        assert "2 votes in all" in get(f"{second.url}/poll/1/results")
        second.end()
    assert postmasters(tmp_path) == 0


def test_concurrent_first_starts_create_one_server(tmp_path: Path) -> None:
    write(tmp_path, CONFIG)
    with ExitStack() as stack:
        starting = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "polls", "--config=polls.yaml", "--port=0"],
                    cwd=tmp_path,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(4)
        ]
        try:
            assert [process.stdout.readline()[:14] for process in starting if process.stdout] == ["polls is ready"] * 4
            assert postmasters(tmp_path) == 1
        finally:
            for process in starting:
                process.terminate()
    assert postmasters(tmp_path) == 0


def test_a_process_that_starts_while_the_last_one_stops_gets_a_server(tmp_path: Path) -> None:
    """Three processes use the server for moments, so that starts and stops overlap."""
    code = """
import pathlib, sys, random, time
from polls.config.settings import Postgres
from polls.storage.postgres.embedded import running
from polls.storage.postgres.connect import connect
for _ in range(12):
    with running(Postgres(embedded=pathlib.Path("var/postgres"))) as postgres, connect(postgres) as connection:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        time.sleep(random.uniform(0, 0.02))
"""
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
            )
            for _ in range(3)
        ]
        errors = [process.communicate(timeout=100)[1] for process in processes]

    assert errors == [""] * 3
    assert postmasters(tmp_path) == 0


def test_a_killed_process_does_not_count_as_a_user(tmp_path: Path) -> None:
    with serving(tmp_path, config=CONFIG) as killed, serving(tmp_path, config=CONFIG) as last:
        killed.end(signal.SIGKILL)
        assert postmasters(tmp_path) == 1
        get(last.url)
        last.end()

    assert postmasters(tmp_path) == 0


def test_commands_use_the_running_server(tmp_path: Path) -> None:
    with serving(tmp_path, config=CONFIG) as polls:
        done = command(tmp_path, "psql", "--config=polls.yaml", "--", "-tAc", "SELECT count(*) FROM question")
        assert done.stdout == "6\n"
        assert "What" in get(polls.url)


def test_deleted_sample_polls_are_not_added_again(tmp_path: Path) -> None:
    with serving(tmp_path, config=CONFIG):
        command(tmp_path, "psql", "--config=polls.yaml", "--", "-c", "DELETE FROM question")

    with serving(tmp_path, config=CONFIG) as polls:
        assert "There are no polls yet." in get(polls.url)
