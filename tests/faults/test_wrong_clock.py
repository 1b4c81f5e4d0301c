"""A process whose clock is a day ahead: polls open and close by the database's clock."""

import http.client
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.faults.conftest import Serve, settings
from tests.support.processes import FAKETIME, Polls, serving
from tests.support.servers import Server


@pytest.fixture
def polls_a_day_ahead(server: Server, serve: Serve, tmp_path: Path) -> Polls:  # type: ignore[misc]
    if not FAKETIME:
        pytest.skip("libfaketime is not installed (on Debian: apt-get install libfaketime)")
    with serve():
        pass  # creates the poll
    environ = {"LD_PRELOAD": FAKETIME, "FAKETIME": "+1d", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    with serving(tmp_path, config=settings(server), environ=environ) as polls:
        yield polls


def request(polls: Polls, method: str, path: str) -> tuple[int, str]:
    parts = urlsplit(polls.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request(method, path, "choice=1" if method == "POST" else None, headers)
    response = connection.getresponse()
    status, page = response.status, response.read().decode()
    assert response.getheader("Date")
    connection.close()
    return status, page


def test_polls_open_and_close_by_the_clock_of_the_database(polls_a_day_ahead: Polls, server: Server) -> None:
    server.execute("UPDATE question SET closes_at = now() + interval '1 hour'")
    assert request(polls_a_day_ahead, "POST", "/poll/1/vote")[0] == 303
    assert "This poll is open until" in request(polls_a_day_ahead, "GET", "/poll/1")[1]

    server.execute("UPDATE question SET closes_at = now() - interval '1 second'")
    assert request(polls_a_day_ahead, "POST", "/poll/1/vote")[0] == 403

    server.execute("UPDATE question SET closes_at = NULL, pub_date = now() + interval '1 hour'")
    assert request(polls_a_day_ahead, "POST", "/poll/1/vote")[0] == 404
    assert request(polls_a_day_ahead, "GET", "/poll/1")[0] == 404

    assert server.execute("SELECT ballots FROM question") == [(1,)]
