"""What one visitor can make a real process wait for, and how many it lets in."""

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from http.client import HTTPConnection, RemoteDisconnected
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

import pytest

from polls.config.settings import Postgres
from tests.conftest import empty_database
from tests.support.processes import Polls, command, eventually, how_it_begins, serving, write
from tests.support.watchers import Watchers, connect

IDLE, BODY, ANSWER = 2, 1, 2
CONNECTIONS, WATCHERS = 40, 10
LATE = 10  # seconds; without limits it takes minutes, or for ever

POST = (
    b"POST /poll/1/vote HTTP/1.1\r\nHost: polls\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 500\r\n\r\n"
)

# What a client sends, what it adds every tenth of a second, and how the answer begins.
SLOW = {
    "nothing at all": (b"", b"", b""),
    "a line that drips": (b"GET /", b"a", b""),
    "headers that drip": (b"GET / HTTP/1.1\r\nHost: polls\r\n", b"X-Header: a\r\n", b""),
    "headers that drip, after a whole request": (
        b"GET / HTTP/1.1\r\nHost: polls\r\n\r\nGET / HTTP/1.1\r\n",
        b"X-Header: a\r\n",
        b"HTTP/1.1 200",
    ),
    "nothing after a whole request": (b"GET / HTTP/1.1\r\nHost: polls\r\n\r\n", b"", b"HTTP/1.1 200"),
    "a body that drips": (POST, b"a", b"HTTP/1.1 408"),
    "chunks that drip": (
        POST.replace(b"Content-Length: 500", b"Transfer-Encoding: chunked"),
        b"1\r\na\r\n",
        b"HTTP/1.1 408",
    ),
    "a body that nobody asked for": (POST.replace(b"/poll/1/vote", b"/nowhere"), b"a", b"HTTP/1.1 404"),
}

# Requests that are too large, and how they are answered.
LARGE = {
    "line": (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: polls\r\n\r\n", 400),
    "line without an end": (b"GET /" + b"a" * 100_000, 400),
    "header": (b"GET / HTTP/1.1\r\nHost: polls\r\nX-Header: " + b"a" * 9000 + b"\r\n\r\n", 400),
    "header without an end": (b"GET / HTTP/1.1\r\nHost: polls\r\nX-Header: " + b"a" * 500_000, 400),
    "name of a header": (b"GET / HTTP/1.1\r\nHost: polls\r\n" + b"a" * 9000 + b": a\r\n\r\n", 400),
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
    with limited(postgres, tmp_path_factory.mktemp("limits")) as polls:
        yield polls


@contextmanager
def limited(postgres: Postgres, folder: Path, purpose: str = "limits") -> Iterator[Polls]:
    """A process that is less patient than by default, with the sample polls."""
    with empty_database(postgres, purpose) as own:
        patience = {"keepalive_timeout": IDLE, "body_timeout": BODY, "write_timeout": ANSWER}
        limits = patience | {"connections": CONNECTIONS, "websockets": WATCHERS}
        address = {key: value for key, value in asdict(own).items() if value is not None}
        config: dict[str, object] = {"postgres": address | {"minsize": 1, "maxsize": 2}, "limits": limits}
        assert command(folder, "sample", f"--config={write(folder, config)}").returncode == 0
        with serving(folder, config=config) as polls:
            yield polls


async def opened(polls: Polls) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    address = urlsplit(polls.url)
    return await asyncio.open_connection(address.hostname, address.port)


async def dripped(polls: Polls, first: bytes, drop: bytes) -> tuple[bytes, float]:
    """What a slow client is told, and after how many seconds its connection ends."""
    begun = monotonic()
    reader, writer = await opened(polls)
    answer = asyncio.create_task(reader.read())
    answer.add_done_callback(lambda _: writer.close())
    writer.write(first)
    while not answer.done() and monotonic() - begun < 2 * LATE:
        await asyncio.wait([answer], timeout=0.1)
        if not writer.is_closing():
            writer.write(drop)
    answer.cancel()
    return await answer, monotonic() - begun


async def test_who_sends_too_slowly_is_cut_off(polls: Polls) -> None:
    answers = await asyncio.gather(*(dripped(polls, first, drop) for first, drop, _ in SLOW.values()))

    for (name, (_, _, begins)), (answer, seconds) in zip(SLOW.items(), answers, strict=True):
        assert answer.startswith(begins), name
        assert begins or not answer, name
        assert BODY / 2 < seconds < LATE, name
    assert "Traceback" not in polls.log.read_text()


def open_files(polls: Polls) -> int:
    return sum(1 for _ in Path(f"/proc/{polls.process.pid}/fd").iterdir())


@contextmanager
def not_reading(polls: Polls, address: str) -> Iterator[socket.socket]:
    """Somebody who asks for more and more, and reads nothing of it."""
    url = urlsplit(polls.url)
    with socket.create_connection((url.hostname, url.port)) as connection:
        connection.settimeout(0.1)
        begun = monotonic()
        while monotonic() - begun < ANSWER / 2:
            with suppress(TimeoutError):
                connection.send(f"GET {address} HTTP/1.1\r\nHost: polls\r\n\r\n".encode() * 100)
        yield connection


def is_cut_off(connection: socket.socket) -> bool:
    try:
        connection.send(b"G")
    except TimeoutError:
        return False
    except ConnectionError:
        return True
    return False


@pytest.mark.parametrize("address", ["/poll/1/results", "/static/css/base.css"])
def test_who_does_not_read_is_cut_off(polls: Polls, address: str) -> None:
    before = open_files(polls)
    with not_reading(polls, address) as connection:
        assert eventually(lambda: is_cut_off(connection), LATE)
        assert eventually(lambda: open_files(polls) <= before)

    assert "Traceback" not in polls.log.read_text()


@pytest.mark.parametrize("name", LARGE)
async def test_what_is_too_large_is_refused_without_a_fault_of_ours(polls: Polls, name: str) -> None:
    request, status = LARGE[name]
    said = len(polls.log.read_text())
    reader, writer = await opened(polls)

    writer.write(request)
    async with asyncio.timeout(LATE):
        answer = await reader.readline()
    writer.close()

    assert int(answer.split()[1]) == status
    log = polls.log.read_text()[said:]
    assert "Traceback" not in log
    assert "aaaa" not in log


def test_a_full_process_turns_newcomers_away_and_serves_who_is_there(polls: Polls) -> None:
    address = urlsplit(polls.url)
    voter = HTTPConnection(address.hostname or "", address.port)
    assert vote(voter) == 303
    with Watchers([polls.url], WATCHERS) as watchers:
        with pytest.raises(ConnectionRefusedError, match="503"):
            connect(polls.url)

        crowd: list[HTTPConnection] = []
        while len(crowd) < 2 * CONNECTIONS:
            crowd.append(HTTPConnection(address.hostname or "", address.port, timeout=LATE))
            if not vote(crowd[-1]):
                break

        assert CONNECTIONS - WATCHERS - 5 <= len(crowd) <= CONNECTIONS
        assert vote(voter) == 303
        assert eventually(lambda: watchers.revisions == {max(watchers.revisions)})
        assert f"closed at once, since there were {CONNECTIONS} already" in polls.log.read_text()

    for connection in (voter, *crowd):
        connection.close()
    newcomer = HTTPConnection(address.hostname or "", address.port)
    assert eventually(lambda: vote(newcomer) == 303)
    newcomer.close()


def test_of_a_crowd_that_comes_at_once_as_many_are_let_in_as_may_be(postgres: Postgres, tmp_path: Path) -> None:
    with limited(postgres, tmp_path, "crowd") as polls, ExitStack() as opened:
        address = urlsplit(polls.url)
        polls.process.send_signal(signal.SIGSTOP)  # so that all of them wait when it looks
        crowd = [
            opened.enter_context(socket.create_connection((address.hostname, address.port), timeout=LATE))
            for _ in range(3 * CONNECTIONS)
        ]
        for visitor in crowd:
            visitor.sendall(b"GET / HTTP/1.1\r\nHost: polls\r\n\r\n")
        polls.process.send_signal(signal.SIGCONT)

        answers = [how_it_begins(visitor) for visitor in crowd]

    assert sorted(answers) == [b""] * 2 * CONNECTIONS + [b"HTTP/1.1 200"] * CONNECTIONS


def vote(connection: HTTPConnection) -> int:
    """How the vote of a new voter is answered; 0 where it isn't."""
    try:
        connection.request("POST", "/poll/1/vote", "choice=1", {"Content-Type": "application/x-www-form-urlencoded"})
        answer = connection.getresponse()
        answer.read()
    except (RemoteDisconnected, ConnectionError):
        return 0
    return answer.status


def test_the_end_does_not_wait_for_who_does_not_read(polls: Polls) -> None:
    """The last test here: it ends the process."""
    with ExitStack() as rude:
        for _ in range(2):
            rude.enter_context(not_reading(polls, "/poll/1/results"))
        begun = monotonic()

        assert polls.end() == 0

    assert monotonic() - begun < LATE
    assert "Traceback" not in polls.log.read_text()
