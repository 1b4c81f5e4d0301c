"""Wrong clocks: polls open and close by the database's clock, also after it has leapt and gone back."""

import http.client
from collections.abc import Iterator
from pathlib import Path
from time import sleep
from urllib.parse import urlsplit

import pytest

from tests.faults.conftest import Serve, prepare, settings
from tests.support.processes import FAKETIME, Polls, eventually, serving
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


@pytest.fixture
def clock_of_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Server, Path]]:
    """A server whose clock differs from the right time by what a file says, such as "+1d"."""
    if not FAKETIME:
        pytest.skip("libfaketime is not installed (on Debian: apt-get install libfaketime)")
    offset = tmp_path / "offset"
    offset.write_text("+0s")
    server = Server(tmp_path, {"fsync": "off"})
    with monkeypatch.context() as environ:
        environ.setenv("LD_PRELOAD", FAKETIME)
        environ.setenv("FAKETIME_TIMESTAMP_FILE", str(offset))
        environ.setenv("FAKETIME_NO_CACHE", "1")
        environ.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        server.start()
    yield server, offset
    server.kill()


def test_after_a_leap_of_the_clock_of_the_database_polls_are_as_before(
    clock_of_server: tuple[Server, Path], tmp_path: Path
) -> None:
    server, offset = clock_of_server
    prepare(tmp_path, server, settings(server), polls=2)
    server.execute(
        "UPDATE question SET closes_at = now() + interval '1 hour' WHERE id = 1;"
        "UPDATE question SET pub_date = now() + interval '1 hour' WHERE id = 2"
    )

    def states() -> tuple[bool, int, bool]:
        listed = 'href="/poll/2"' in request(polls, "GET", "/")[1]
        is_open = "This poll is open until" in request(polls, "GET", "/poll/1")[1]
        return is_open, request(polls, "GET", "/poll/2")[0], listed

    with serving(tmp_path, config=settings(server)) as polls:
        assert states() == (True, 404, False)

        offset.write_text("+1d")
        assert eventually(lambda: states() == (False, 200, True))
        sleep(1)  # longer than the caches' timers take
        offset.write_text("+0s")

        assert eventually(lambda: states() == (True, 404, False), 5)
        assert request(polls, "POST", "/poll/1/vote")[0] == 303
