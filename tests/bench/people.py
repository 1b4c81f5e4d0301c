"""Many people who watch a poll and vote in it, with little CPU each: one thread and one epoll.

`python -m tests.bench.people HOST PORT POLL CHOICES COUNT TOTAL SECONDS ADDRESS` opens the poll's page and a WebSocket
for each of COUNT people, from 127.0.0.ADDRESS and the addresses after it, and prints "ready". It reads a time
(`monotonic()`), casts all their votes evenly within SECONDS from then on, each followed by the page of its redirect,
waits until every WebSocket has received a message with TOTAL ballots, and prints JSON.
"""

import json
import random
import re
import resource
import select
import socket
import sys
from collections import Counter
from contextlib import suppress
from itertools import count
from time import monotonic

from tests.bench.measures import quantiles
from tests.support.watchers import PING, PONG, TEXT, masked_frame, read_frame

OPENING = 32  # people whose page and WebSocket are being opened at the same time
PEOPLE_PER_ADDRESS = 500
PATIENCE = 30  # seconds to wait after the last vote

_ANSWER = re.compile(rb"HTTP/1\.1 (\d{3}) .*?\r\nContent-Length: (\d+)\r\n.*?\r\n?\r\n", re.DOTALL | re.IGNORECASE)
_COOKIE = re.compile(rb"\r\nSet-Cookie: ([^=]+=[^;]*)", re.IGNORECASE)
_LOCATION = re.compile(rb"\r\nLocation: ([^\r]+)", re.IGNORECASE)


class Person:
    """A browser: a connection for pages, which stays open between them, and a WebSocket."""

    def __init__(self, people: "People", address: str, choice: int) -> None:
        self.people = people
        self.address = address
        self.choice = choice
        self.cookies: dict[bytes, bytes] = {}  # {name: pair}
        self.screen: Screen | None = None
        self.connection: socket.socket | None = None
        self.unread = b""
        self.requested = ""  # the kind of the request that isn't answered yet
        self.sent = 0.0

    def get(self, kind: str, path: bytes) -> None:
        self._send(kind, b"GET %s HTTP/1.1\r\nHost: %s\r\nAccept: text/html\r\n%s\r\n" % self._head(path))

    def vote(self) -> None:
        form = b"choice=%d" % self.choice
        self.people.last_sent = monotonic()
        self._send(
            "vote",
            b"POST %s/vote HTTP/1.1\r\nHost: %s\r\nSec-Fetch-Site: same-origin\r\n%s"
            b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s"
            % (*self._head(self.people.path), len(form), form),
        )

    def _head(self, path: bytes) -> tuple[bytes, bytes, bytes]:
        cookies = b"Cookie: %s\r\n" % b"; ".join(self.cookies.values()) if self.cookies else b""
        return path, self.people.host, cookies

    def _send(self, kind: str, request: bytes) -> None:
        self.requested, self.sent = kind, monotonic()
        if self.connection is None:
            self.connection = self.people.connect(self.address, self)
        self.connection.send(request)

    def read(self) -> None:
        assert self.connection is not None
        chunk = b""
        with suppress(ConnectionError):
            chunk = self.connection.recv(1 << 16)
        if not chunk:
            self.people.disconnect(self.connection)
            self.connection = None
            if self.requested:
                self._answered("closed", b"")
            return
        self.unread += chunk
        answer = _ANSWER.match(self.unread)
        if answer and len(self.unread) >= answer.end() + int(answer[2]):
            self.unread = b""
            self._answered(answer[1].decode(), answer[0])

    def _answered(self, status: str, head: bytes) -> None:
        kind, self.requested = self.requested, ""
        for pair in _COOKIE.findall(head):
            self.cookies[pair.partition(b"=")[0]] = pair
        self.people.answered(self, kind, status, head)


class Screen:
    """A WebSocket: its newest message, and when the one with all ballots arrived."""

    def __init__(self, people: "People", address: str) -> None:
        self.people = people
        self.connection = people.connect(address, self)
        self.is_open = False
        self.unread = b""
        self.newest = b""
        self.complete_at = 0.0
        self.connection.send(
            b"GET %s/live HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
            % (people.path, people.host)
        )

    def read(self) -> None:
        chunk = b""
        with suppress(ConnectionError):
            chunk = self.connection.recv(1 << 16)
        if not chunk:
            self.people.disconnect(self.connection)
            self.people.answers["WebSocket closed"] += 1
            return
        self.unread += chunk
        if not self.is_open:
            head, end, rest = self.unread.partition(b"\r\n\r\n")
            if not end:
                return
            self.is_open, self.unread = True, rest
            self.people.opened(head.split(b"\r\n")[0])
        while (frame := read_frame(self.unread)) is not None:
            opcode, payload, length = frame
            self.unread = self.unread[length:]
            if opcode == TEXT and len(payload) > 2:
                self.newest = payload
                if not self.complete_at and self.people.is_complete in payload:
                    self.complete_at = monotonic()
                    self.people.complete += 1
            elif opcode == PING:
                self.connection.send(masked_frame(PONG, payload))


class People:
    """All people of this process."""

    def __init__(self, host: str, port: int, poll: int, choices: list[int], size: int, total: int, first: int) -> None:
        self.host = f"{host}:{port}".encode()
        self.path = b"/poll/%d" % poll
        self.is_complete = b'"ballots":%d,' % total
        self.answers: Counter[str] = Counter()
        self.seconds: dict[str, list[float]] = {"page": [], "vote": [], "results": []}
        self.last_sent = self.last_answered = 0.0
        self.complete = self.finished = 0
        self._epoll = select.epoll()
        self._by_file: dict[int, Person | Screen] = {}
        self._peer = (host, port)
        self._opened = 0
        self._people = [
            Person(self, f"127.0.0.{first + number // PEOPLE_PER_ADDRESS}", random.choice(choices))
            for number in range(size)
        ]
        self._waiting = iter(self._people)

    def open(self) -> None:
        """Open a page and a WebSocket for each."""
        for _ in range(OPENING):
            self._open_next()
        while self._opened < len(self._people):
            self._read(1)

    def cast(self, start: float, seconds: float) -> None:
        """Cast all votes, and wait for the answers and the last message of each WebSocket."""
        random.shuffle(self._people)
        size = len(self._people)
        self.answers.clear()
        for number, person in zip(count(), self._people, strict=False):
            due = start + seconds * number / size
            while (pause := due - monotonic()) > 0:
                self._read(pause)
            person.vote()
            if number % 16 == 0:
                self._read(0)
        while (self.finished < size or self.complete < size) and monotonic() < start + seconds + PATIENCE:
            self._read(0.1)

    def report(self) -> dict[str, object]:
        screens = [person.screen for person in self._people if person.screen]
        return {
            "answers": self.answers,
            "seconds": {kind: quantiles(values) for kind, values in self.seconds.items()},
            "last_sent": self.last_sent,
            "last_answered": self.last_answered,
            "complete": self.complete,
            "last_screen": max(screen.complete_at for screen in screens),
            "votes": sorted({_votes(message) for message in {screen.newest for screen in screens}}),
        }

    def connect(self, address: str, reader: Person | Screen) -> socket.socket:
        connection = socket.create_connection(self._peer, timeout=10, source_address=(address, 0))
        connection.settimeout(0)
        self._by_file[connection.fileno()] = reader
        self._epoll.register(connection, select.EPOLLIN)
        return connection

    def disconnect(self, connection: socket.socket) -> None:
        self._epoll.unregister(connection)
        del self._by_file[connection.fileno()]
        connection.close()

    def opened(self, status: bytes) -> None:
        """Count a WebSocket whose handshake was answered, and open the next person's page."""
        assert b" 101 " in status, status
        self._opened += 1
        self._open_next()

    def answered(self, person: Person, kind: str, status: str, head: bytes) -> None:
        """Record an answer, and send what a browser sends next."""
        self.seconds[kind].append(monotonic() - person.sent)
        self.answers[f"{kind} {status}"] += 1
        if kind == "page":
            person.screen = Screen(self, person.address)
            return
        self.last_answered = monotonic()
        location = _LOCATION.search(head)
        if kind == "vote" and location:
            person.get("results", location[1])
        else:
            self.finished += 1

    def _open_next(self) -> None:
        if person := next(self._waiting, None):
            person.get("page", self.path)

    def _read(self, timeout: float) -> None:
        for file, _ in self._epoll.poll(timeout, 256):
            if reader := self._by_file.get(file):
                reader.read()


def _votes(message: bytes) -> int:
    return sum(choice["votes"] for choice in json.loads(message)["choices"].values())


def main() -> None:
    host, port, poll, choices, size, total, seconds, first = sys.argv[1:]
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    marks = list(map(int, choices.split(",")))
    people = People(host, int(port), int(poll), marks, int(size), int(total), int(first))
    people.open()
    print("ready", flush=True)
    people.cast(float(sys.stdin.readline()), float(seconds))
    print(json.dumps(people.report()), flush=True)


if __name__ == "__main__":
    main()
