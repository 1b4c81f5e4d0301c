"""Many WebSocket clients of a poll with little CPU each, and what each received when.

`python -m tests.support.watchers URL COUNT SECONDS RATE POLL` opens COUNT clients of a poll, casts RATE votes a
second in it, and prints JSON.
"""

import base64
import http.client
import json
import os
import re
import secrets
import select
import socket
import struct
import sys
import threading
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic, sleep
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from polls.live.broadcast import KEEPALIVE

RECONNECT_PAUSE = 0.2  # seconds

_REVISION = re.compile(rb'"revision":(\d+)')
_COUNTED = re.compile(r"polls_flash(?:_\d+)?=counted\.(\d+)")
TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA


@dataclass(slots=True, eq=False)
class Watcher:
    """One connection: its newest message, `received` (time and revision of each), and the close code.

    `went_back` is true if an older revision was received after a newer one.
    """

    url: str
    socket: socket.socket
    unread: bytes = b""
    message: bytes = b""
    revision: int = -1
    received: list[tuple[float, int]] = field(default_factory=list)
    closed: int | None = None
    went_back: bool = False

    def read(self) -> bool:
        """Read all complete frames, and return whether the connection is still open."""
        try:
            chunk = self.socket.recv(1 << 16)
        except BlockingIOError:
            return True
        except ConnectionError:
            chunk = b""
        if not chunk:
            self.closed = self.closed or 1006
            return False
        self.unread += chunk
        now = monotonic()
        while (frame := read_frame(self.unread)) is not None:
            opcode, payload, length = frame
            self.unread = self.unread[length:]
            if opcode == TEXT and payload != KEEPALIVE:
                self.message = payload
                revision = int(_REVISION.search(payload)[1])  # type: ignore[index]
                self.went_back |= revision < self.revision
                self.revision = revision
                self.received.append((now, revision))
            elif opcode == PING:
                self.socket.send(masked_frame(PONG, payload))
            elif opcode == CLOSE:
                self.closed = struct.unpack(">H", payload[:2])[0] if payload else 1005
                self.socket.send(masked_frame(CLOSE, payload))
        return True


class Watchers:
    """`count` WebSocket clients of a poll, which reconnect to the next of `urls` when their connection is lost.

    A thread reads them, from the beginning of the `with` to its end.
    """

    def __init__(self, urls: Sequence[str], count: int, *, poll: int = 1) -> None:
        self._urls = urls
        self._poll = poll
        self.watchers: list[Watcher] = []
        self.reconnects = 0
        self.closings: Counter[int | None] = Counter()  # connections by close code
        self._epoll = select.epoll()
        self._by_file: dict[int, Watcher] = {}
        for position in range(count):
            self._add(connect(urls[position % len(urls)], poll))
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._read, name="watchers")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._stopping.set()
        self._thread.join()
        for watcher in self.watchers:
            watcher.socket.close()
        self._epoll.close()

    @property
    def revisions(self) -> set[int]:
        """The newest revision of each, without duplicates."""
        return {watcher.revision for watcher in self.watchers}

    @property
    def open(self) -> int:
        return sum(watcher.closed is None for watcher in self.watchers)

    @property
    def votes(self) -> set[int]:
        """The total of votes in each client's newest message, without duplicates; -1 for a client without a message."""
        return {
            sum(choice["votes"] for choice in json.loads(watcher.message)["choices"].values())
            if watcher.message
            else -1
            for watcher in list(self.watchers)
        }

    @property
    def went_back(self) -> bool:
        """Return whether any connection received an older revision after a newer one."""
        return any(watcher.went_back for watcher in self.watchers)

    def _add(self, watcher: Watcher) -> None:
        self.watchers.append(watcher)
        self._by_file[watcher.socket.fileno()] = watcher
        self._epoll.register(watcher.socket, select.EPOLLIN)

    def _read(self) -> None:
        pending: list[tuple[float, str]] = []  # when to reconnect, and where
        while not self._stopping.is_set():
            for file, _ in self._epoll.poll(0.05):
                watcher = self._by_file[file]
                if not watcher.read():
                    self._epoll.unregister(file)
                    del self._by_file[file]
                    watcher.socket.close()
                    self.watchers.remove(watcher)
                    self.reconnects += 1
                    self.closings[watcher.closed] += 1
                    pending.append((monotonic() + RECONNECT_PAUSE, self._url_after(watcher.url)))
            for when, url in [each for each in pending if each[0] < monotonic()]:
                pending.remove((when, url))
                try:
                    self._add(connect(url, self._poll))
                except OSError:
                    pending.append((monotonic() + RECONNECT_PAUSE, self._url_after(url)))

    def _url_after(self, url: str) -> str:
        return self._urls[(self._urls.index(url) + 1) % len(self._urls)]


def connect(url: str, poll: int = 1) -> Watcher:
    """Open a WebSocket (RFC 6455). Raises OSError if the handshake fails."""
    parts = urlsplit(url)
    assert parts.hostname
    connection = socket.create_connection((parts.hostname, parts.port), timeout=10)
    connection.sendall(
        f"GET /poll/{poll}/live HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n\r\n".encode()
    )
    response = b""
    while b"\r\n\r\n" not in response:
        chunk = connection.recv(4096)
        if not chunk:
            raise ConnectionResetError
        response += chunk
    if b" 101 " not in response.split(b"\r\n")[0]:
        connection.close()
        raise ConnectionRefusedError(response.split(b"\r\n")[0].decode())
    connection.settimeout(0)
    return Watcher(url, connection, unread=response.partition(b"\r\n\r\n")[2])


def read_frame(data: bytes) -> tuple[int, bytes, int] | None:
    """Return opcode, payload and length of the first frame, or None if it isn't complete."""
    if len(data) < 2:
        return None
    size, start = data[1] & 0x7F, 2
    if size == 126:
        if len(data) < 4:
            return None
        size, start = struct.unpack(">H", data[2:4])[0], 4
    if len(data) < start + size:
        return None
    return data[0] & 0x0F, data[start : start + size], start + size


def masked_frame(opcode: int, payload: bytes) -> bytes:
    """Return a client's frame. Its mask is zero, which RFC 6455 allows."""
    return bytes((0x80 | opcode, 0x80 | len(payload))) + bytes(4) + payload


def vote(connection: http.client.HTTPConnection, poll: int = 1, choice: int = 1, *, form: str | None = None) -> int:
    """Vote for `choice`, or by sending `form`, as a new voter; return the revision that counts the vote."""
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": f"polls_voter={secrets.token_hex(16)}"}
    connection.request("POST", f"/poll/{poll}/vote", form or f"choice={choice}", headers)
    response = connection.getresponse()
    response.read()
    assert response.status == 303, response.status
    # The message that the next page shows once. The URL has the revision, too, unless the results are hidden.
    return int(_COUNTED.search(response.getheader("Set-Cookie") or "")[1])  # type: ignore[index]


def main() -> None:
    url, count, seconds, rate, poll = sys.argv[1], *map(int, sys.argv[2:6])
    choice = 1 if poll == 1 else 100 * poll + 1  # as `tests.bench` has them
    sent_at: dict[int, float] = {}  # by revision
    with Watchers([url], count, poll=poll) as watchers:
        print("ready", flush=True)
        sys.stdin.readline()
        connection = http.client.HTTPConnection(urlsplit(url).netloc)
        started = monotonic()
        for number in range(seconds * rate):
            sleep(max(0, started + number / rate - monotonic()))
            sent = monotonic()
            sent_at.setdefault(vote(connection, poll, choice), sent)
        sleep(1 if rate else seconds)
        newest = max(sent_at, default=-1)
        report: dict[str, object] = {
            "open": watchers.open,
            "current": sum(watcher.revision >= newest for watcher in watchers.watchers),
            "went_back": sum(watcher.went_back for watcher in watchers.watchers),
        }
    # Computed after the clients are closed: meanwhile they would not answer the heartbeat.
    report["delays"] = delays(watchers.watchers, sent_at)
    print(json.dumps(report), flush=True)


def delays(watchers: Sequence[Watcher], sent_at: dict[int, float]) -> dict[str, float]:
    """Return quantiles of the seconds from sending a ballot to receiving it, over all watchers and ballots."""
    revisions = sorted(sent_at)
    counts: Counter[float] = Counter()  # by millisecond: there are millions
    for watcher in watchers:
        start = 0
        for moment, revision in watcher.received:
            end = bisect_right(revisions, revision)
            for counted in revisions[start:end]:
                counts[round(moment - sent_at[counted], 3)] += 1
            start = end
    return {"median": quantile(counts, 0.5), "p99": quantile(counts, 0.99), "max": max(counts)} if counts else {}


def quantile(counts: Counter[float], share: float) -> float:
    remaining = share * counts.total()
    for value in sorted(counts):
        remaining -= counts[value]
        if remaining <= 0:
            return value
    return max(counts)


if __name__ == "__main__":
    main()
