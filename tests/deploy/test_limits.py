"""Time-outs, size limits and the connection limit of a real process."""

import asyncio
import resource
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from http.client import HTTPConnection, RemoteDisconnected
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

import pytest

from polls.config.settings import Postgres
from tests.conftest import empty_database
from tests.support.processes import Polls, command, eventually, receive_status, serving, write
from tests.support.watchers import Watchers, connect

KEEPALIVE_TIMEOUT, BODY_TIMEOUT, WRITE_TIMEOUT = 2, 1, 2
CONNECTIONS, WEBSOCKETS = 40, 10
DEADLINE = 10  # seconds; without limits it takes minutes, or never ends

POST = (
    b"POST /poll/1/vote HTTP/1.1\r\nHost: polls\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 500\r\n\r\n"
)

# The first bytes of a client, the bytes that it adds every tenth of a second, and the beginning of the response.
SLOW = {
    "nothing at all": (b"", b"", b""),
    "a slow request line": (b"GET /", b"a", b""),
    "slow headers": (b"GET / HTTP/1.1\r\nHost: polls\r\n", b"X-Header: a\r\n", b""),
    "slow headers after a complete request": (
        b"GET / HTTP/1.1\r\nHost: polls\r\n\r\nGET / HTTP/1.1\r\n",
        b"X-Header: a\r\n",
        b"HTTP/1.1 200",
    ),
    "nothing after a complete request": (b"GET / HTTP/1.1\r\nHost: polls\r\n\r\n", b"", b"HTTP/1.1 200"),
    "a slow body": (POST, b"a", b"HTTP/1.1 408"),
    "slow chunks": (
        POST.replace(b"Content-Length: 500", b"Transfer-Encoding: chunked"),
        b"1\r\na\r\n",
        b"HTTP/1.1 408",
    ),
    "a slow body for an unknown path": (POST.replace(b"/poll/1/vote", b"/nowhere"), b"a", b"HTTP/1.1 404"),
}

# Requests that are too large, and the status of the response.
LARGE = {
    "request line": (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: polls\r\n\r\n", 431),
    "endless request line": (b"GET /" + b"a" * 100_000, 431),
    "header": (b"GET / HTTP/1.1\r\nHost: polls\r\nX-Header: " + b"a" * 9000 + b"\r\n\r\n", 431),
    "endless header": (b"GET / HTTP/1.1\r\nHost: polls\r\nX-Header: " + b"a" * 500_000, 431),
    "header name": (b"GET / HTTP/1.1\r\nHost: polls\r\n" + b"a" * 9000 + b": a\r\n\r\n", 431),
    "number of headers": (b"GET / HTTP/1.1\r\nHost: polls\r\n" + b"X-Header: a\r\n" * 70 + b"\r\n", 400),
    "body": (POST.replace(b"500", b"500000") + b"a" * 500_000, 413),
    "body in chunks": (
        POST.replace(b"Content-Length: 500", b"Transfer-Encoding: chunked")
        + (b"4000\r\n" + b"a" * 0x4000 + b"\r\n") * 10,
        413,
    ),
    "not too large": (b"GET / HTTP/1.1\r\nHost: polls\r\nCookie: " + b"a" * 8000 + b"\r\n\r\n", 200),
}


@pytest.fixture(scope="module")
def polls(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Polls]:
    with serving_with_limits(postgres, tmp_path_factory.mktemp("limits")) as polls:
        yield polls


@contextmanager
def serving_with_limits(
    postgres: Postgres, folder: Path, purpose: str = "limits", limits: Mapping[str, int] | None = None
) -> Iterator[Polls]:
    """Serve the sample polls with small limits, or with `limits`."""
    with empty_database(postgres, purpose) as own:
        timeouts = {
            "keepalive_timeout": KEEPALIVE_TIMEOUT,
            "body_timeout": BODY_TIMEOUT,
            "write_timeout": WRITE_TIMEOUT,
        }
        limits = limits or timeouts | {"connections": CONNECTIONS, "websockets": WEBSOCKETS}
        address = {key: value for key, value in asdict(own).items() if value is not None}
        config: dict[str, object] = {"postgres": address | {"minsize": 1, "maxsize": 2}, "limits": dict(limits)}
        assert command(folder, "sample", f"--config={write(folder, config)}").returncode == 0
        with serving(folder, config=config) as polls:
            yield polls


async def open_connection(polls: Polls) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    address = urlsplit(polls.url)
    return await asyncio.open_connection(address.hostname, address.port)


async def send_slowly(polls: Polls, first: bytes, more: bytes) -> tuple[bytes, float]:
    """Return the response to a slow client, and the seconds until its connection is closed."""
    start = monotonic()
    reader, writer = await open_connection(polls)
    response = asyncio.create_task(reader.read())
    response.add_done_callback(lambda _: writer.close())
    writer.write(first)
    while not response.done() and monotonic() - start < 2 * DEADLINE:
        await asyncio.wait([response], timeout=0.1)
        if not writer.is_closing():
            writer.write(more)
    response.cancel()
    return await response, monotonic() - start


async def test_a_client_that_sends_too_slowly_is_disconnected(polls: Polls) -> None:
    results = await asyncio.gather(*(send_slowly(polls, first, more) for first, more, _ in SLOW.values()))

    for (name, (_, _, beginning)), (response, seconds) in zip(SLOW.items(), results, strict=True):
        assert response.startswith(beginning), name
        assert beginning or not response, name
        assert BODY_TIMEOUT / 2 < seconds < DEADLINE, name
    assert "Traceback" not in polls.log.read_text()


def open_files(polls: Polls) -> int:
    return sum(1 for _ in Path(f"/proc/{polls.process.pid}/fd").iterdir())


@contextmanager
def not_reading(polls: Polls, path: str) -> Iterator[socket.socket]:
    """Send more and more requests, and read no response."""
    url = urlsplit(polls.url)
    with socket.create_connection((url.hostname, url.port)) as connection:
        connection.settimeout(0.1)
        start = monotonic()
        while monotonic() - start < WRITE_TIMEOUT / 2:
            with suppress(TimeoutError):
                connection.send(f"GET {path} HTTP/1.1\r\nHost: polls\r\n\r\n".encode() * 100)
        yield connection


def is_disconnected(connection: socket.socket) -> bool:
    try:
        connection.send(b"G")
    except TimeoutError:
        return False
    except ConnectionError:
        return True
    return False


@pytest.mark.parametrize("path", ["/poll/1/results", "/static/css/public.css"])
def test_a_client_that_does_not_read_is_disconnected(polls: Polls, path: str) -> None:
    before = open_files(polls)
    with not_reading(polls, path) as connection:
        assert eventually(lambda: is_disconnected(connection), DEADLINE)
        assert eventually(lambda: open_files(polls) <= before)

    assert "Traceback" not in polls.log.read_text()


@pytest.mark.parametrize("name", LARGE)
async def test_a_request_that_is_too_large_is_refused_without_an_error_in_the_log(polls: Polls, name: str) -> None:
    request, status = LARGE[name]
    logged = len(polls.log.read_text())
    reader, writer = await open_connection(polls)

    writer.write(request)
    async with asyncio.timeout(DEADLINE):
        status_line = await reader.readline()
    writer.close()

    assert int(status_line.split()[1]) == status
    log = polls.log.read_text()[logged:]
    assert "Traceback" not in log
    assert "aaaa" not in log


def test_at_the_connection_limit_new_connections_are_closed_and_existing_ones_served(polls: Polls) -> None:
    address = urlsplit(polls.url)
    voter = HTTPConnection(address.hostname or "", address.port)
    assert vote(voter) == 303
    with Watchers([polls.url], WEBSOCKETS) as watchers:
        with pytest.raises(ConnectionRefusedError, match="503"):
            connect(polls.url)

        crowd: list[HTTPConnection] = []
        while len(crowd) < 2 * CONNECTIONS:
            crowd.append(HTTPConnection(address.hostname or "", address.port, timeout=DEADLINE))
            if not vote(crowd[-1]):
                break

        assert CONNECTIONS - WEBSOCKETS - 5 <= len(crowd) <= CONNECTIONS
        assert vote(voter) == 303
        assert eventually(lambda: watchers.revisions == {max(watchers.revisions)})
        assert f"the limit of {CONNECTIONS} open connections is reached" in polls.log.read_text()

    for connection in (voter, *crowd):
        connection.close()
    new_client = HTTPConnection(address.hostname or "", address.port)
    assert eventually(lambda: vote(new_client) == 303)
    new_client.close()


def test_simultaneous_connections_are_accepted_up_to_the_limit(postgres: Postgres, tmp_path: Path) -> None:
    with serving_with_limits(postgres, tmp_path, "crowd") as polls, ExitStack() as stack:
        address = urlsplit(polls.url)
        polls.process.send_signal(signal.SIGSTOP)  # so that all connections wait in the queue
        crowd = [
            stack.enter_context(socket.create_connection((address.hostname, address.port), timeout=DEADLINE))
            for _ in range(3 * CONNECTIONS)
        ]
        for client in crowd:
            client.sendall(b"GET / HTTP/1.1\r\nHost: polls\r\n\r\n")
        polls.process.send_signal(signal.SIGCONT)

        statuses = [receive_status(client) for client in crowd]

    assert sorted(statuses) == [b""] * 2 * CONNECTIONS + [b"HTTP/1.1 200"] * CONNECTIONS


def burst(polls: Polls, count: int, stack: ExitStack) -> list[socket.socket]:
    """Return `count` connections that the process accepts at the same moment."""
    address = urlsplit(polls.url)
    polls.process.send_signal(signal.SIGSTOP)
    crowd = [
        stack.enter_context(socket.create_connection((address.hostname, address.port), timeout=DEADLINE))
        for _ in range(count)
    ]
    polls.process.send_signal(signal.SIGCONT)
    return crowd


def test_a_burst_above_the_limit_does_not_exhaust_the_open_files(postgres: Postgres, tmp_path: Path) -> None:
    """asyncio would accept a whole backlog, 2,048 connections, before the first of them is closed."""
    limits = {"connections": 700, "keepalive_timeout": 60}
    with serving_with_limits(postgres, tmp_path, "burst", limits) as polls, ExitStack() as stack:
        resource.prlimit(polls.process.pid, resource.RLIMIT_NOFILE, (1024, 1024))
        address = urlsplit(polls.url)
        client = HTTPConnection(address.hostname or "", address.port, timeout=DEADLINE)
        assert vote(client) == 303
        burst(polls, 780, stack)
        for _ in range(3):
            burst(polls, 600, stack)

            assert vote(client) == 303
        client.close()
        log = polls.log.read_text()

    assert "can't accept connections" not in log
    assert "Traceback" not in log
    assert log.count("the limit of 700 open connections is reached") == 1


def test_exhausted_open_files_are_logged_once_and_pass(postgres: Postgres, tmp_path: Path) -> None:
    with serving_with_limits(postgres, tmp_path, "files", {"keepalive_timeout": 60}) as polls:
        open_files = len(list(Path(f"/proc/{polls.process.pid}/fd").iterdir()))
        resource.prlimit(polls.process.pid, resource.RLIMIT_NOFILE, (open_files + 20, 1024))
        with ExitStack() as stack:
            burst(polls, 60, stack)  # asyncio accepts 20 of them each second
            assert eventually(lambda: "can't accept connections: Too many open files" in polls.log.read_text())
        address = urlsplit(polls.url)
        new_client = HTTPConnection(address.hostname or "", address.port, timeout=DEADLINE)

        assert eventually(lambda: vote(new_client) == 303)
        new_client.close()
        log = polls.log.read_text()

    assert log.count("can't accept connections") == 1
    assert "Traceback" not in log


def vote(connection: HTTPConnection) -> int:
    """Vote without a cookie, and return the status; 0 if the connection is closed."""
    try:
        connection.request("POST", "/poll/1/vote", "choice=1", {"Content-Type": "application/x-www-form-urlencoded"})
        response = connection.getresponse()
        response.read()
    except (RemoteDisconnected, ConnectionError):
        return 0
    return response.status


def test_the_shutdown_does_not_wait_for_clients_that_do_not_read(polls: Polls) -> None:
    """Must be the last test: it stops the process."""
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(not_reading(polls, "/poll/1/results"))
        start = monotonic()

        assert polls.end() == 0

    assert monotonic() - start < DEADLINE
    assert "Traceback" not in polls.log.read_text()
