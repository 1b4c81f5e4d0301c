"""Processes of polls killed, frozen or terminated under load."""

import http.client
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.faults.conftest import CrowdOfMethods, Expect, Serve
from tests.faults.test_contention import verify
from tests.support.crowd import Crowd
from tests.support.processes import Polls, eventually
from tests.support.servers import Server


def test_no_vote_is_lost_when_one_of_two_processes_is_killed(serve: Serve, expect_exact: Expect) -> None:
    with serve(methods=True) as staying:
        urls = [staying.url]
        with CrowdOfMethods(urls) as crowd:
            for _ in range(3):
                with serve() as killed:
                    urls.append(killed.url)
                    time.sleep(1)
                    killed.process.kill()
                    killed.process.wait()
                    time.sleep(0.5)
                    urls.remove(killed.url)

    assert sum(count for answer, count in crowd.answers.items() if answer != 303) > 0
    expect_exact(crowd)


def test_a_terminated_process_answers_every_ballot_it_accepted(serve: Serve, expect_exact: Expect) -> None:
    with serve() as staying, serve() as ending, Crowd([staying.url, ending.url]) as crowd:
        time.sleep(1)
        assert ending.end(signal.SIGTERM) == 0
        time.sleep(0.5)

    assert crowd.answers[503] == 0
    assert "Traceback" not in ending.log.read_text()
    expect_exact(crowd)


def test_waiting_ballots_are_stored_and_answered_before_the_process_ends(
    serve: Serve, server: Server, tmp_path: Path
) -> None:
    with serve() as polls:
        assert read_answer(post(polls, 1000)).status == 303
        server.freeze()
        waiting = [post(polls, voter) for voter in range(20)]
        time.sleep(0.5)
        polls.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        server.thaw()

        assert [read_answer(connection).status for connection in waiting] == [303] * 20
        assert polls.process.wait(10) == 0

    assert server.execute("SELECT count(*) FROM ballot") == [(21,)]
    assert verify(tmp_path) == 0


def test_waiting_ballots_of_voters_who_disconnect_are_stored_and_their_files_closed(
    serve: Serve, server: Server, tmp_path: Path
) -> None:
    with serve() as polls:
        assert read_answer(post(polls, 1000)).status == 303
        time.sleep(0.2)
        before = open_files(polls)
        server.freeze()
        waiting = [post(polls, voter) for voter in range(200)]
        time.sleep(0.5)
        for connection in waiting:
            connection.close()
        time.sleep(0.2)
        server.thaw()

        assert eventually(lambda: server.execute("SELECT count(*) FROM ballot") == [(201,)])
        assert eventually(lambda: open_files(polls) <= before)
        assert read_answer(post(polls, 1001)).status == 303
        assert polls.end() == 0
        assert "Traceback" not in polls.log.read_text()

    assert verify(tmp_path) == 0


def test_a_frozen_process_drops_votes_whose_clients_have_disconnected(
    serve: Serve, server: Server, tmp_path: Path
) -> None:
    with serve() as polls, serve() as frozen:
        for process in (polls, frozen):
            assert read_answer(post(process, 1000)).status == 303
        frozen.process.send_signal(signal.SIGSTOP)
        abandoned = [post(frozen, voter) for voter in range(20)]
        for connection in abandoned:
            connection.close()
        assert [read_answer(post(polls, voter)).status for voter in range(20)] == [303] * 20
        assert [read_answer(post(polls, voter, choice=2)).status for voter in range(20)] == [303] * 20

        frozen.process.send_signal(signal.SIGCONT)
        assert read_answer(post(frozen, 1001)).status == 303
        assert frozen.end() == 0

    assert server.execute("SELECT votes FROM choice ORDER BY id") == [(2,), (20,)]
    assert verify(tmp_path) == 0


def test_a_vote_beyond_the_queue_size_is_rejected_at_once(serve: Serve, server: Server, tmp_path: Path) -> None:
    with serve(votes={"queue_size": 100}) as polls:
        assert read_answer(post(polls, 1000)).status == 303
        server.freeze()
        waiting = [post(polls, voter) for voter in range(100)]
        time.sleep(0.5)

        started = time.monotonic()
        rejected = read_answer(post(polls, 100))
        seconds = time.monotonic() - started
        server.thaw()

        assert (rejected.status, rejected.retry_after) == (503, "3")
        assert "Your vote was not counted. Try again in a few seconds." in rejected.text
        assert seconds < 1  # the waiting ones would get an answer after three seconds
        assert [read_answer(connection).status for connection in waiting] == [303] * 100

    assert verify(tmp_path) == 0


def post(polls: Polls, voter: int, choice: int = 1) -> http.client.HTTPConnection:
    """Send a vote without waiting for the response."""
    parts = urlsplit(polls.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": f"polls_voter={voter:032x}"}
    connection.request("POST", "/poll/1/vote", f"choice={choice}", headers)
    return connection


@dataclass
class Answer:
    status: int
    retry_after: str | None
    text: str


def read_answer(connection: http.client.HTTPConnection) -> Answer:
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return Answer(response.status, response.getheader("Retry-After"), text)


def open_files(polls: Polls) -> int:
    return len(list(Path(f"/proc/{polls.process.pid}/fd").iterdir()))
