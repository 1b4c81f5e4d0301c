"""The application's clock is a day ahead: polls open and close by the database's."""

import http.client
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.faults.conftest import Serve, settings
from tests.support.processes import FAKETIME, Polls, serving
from tests.support.servers import Server


@pytest.fixture
def a_day_ahead(server: Server, serve: Serve, tmp_path: Path) -> Polls:  # type: ignore[misc]
    if not FAKETIME:
        pytest.skip("libfaketime is not installed (on Debian: apt-get install libfaketime)")
    with serve():
        pass  # its poll is there
    environ = {"LD_PRELOAD": FAKETIME, "FAKETIME": "+1d", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    with serving(tmp_path, config=settings(server), environ=environ) as polls:
        yield polls


def ask(polls: Polls, method: str, address: str) -> tuple[int, str]:
    parts = urlsplit(polls.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request(method, address, "choice=1" if method == "POST" else None, headers)
    response = connection.getresponse()
    answer = response.status, response.read().decode()
    assert response.getheader("Date")
    connection.close()
    return answer


def test_a_poll_neither_closes_nor_opens_by_it(a_day_ahead: Polls, server: Server) -> None:
    server.execute("UPDATE question SET closes_at = now() + interval '1 hour'")
    assert ask(a_day_ahead, "POST", "/poll/1/vote")[0] == 303
    assert "This poll is open until" in ask(a_day_ahead, "GET", "/poll/1")[1]

    server.execute("UPDATE question SET closes_at = now() - interval '1 second'")
    assert ask(a_day_ahead, "POST", "/poll/1/vote")[0] == 403

    server.execute("UPDATE question SET closes_at = NULL, pub_date = now() + interval '1 hour'")
    assert ask(a_day_ahead, "POST", "/poll/1/vote")[0] == 404
    assert ask(a_day_ahead, "GET", "/poll/1")[0] == 404

    assert server.execute("SELECT ballots FROM question") == [(1,)]
