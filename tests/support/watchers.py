"""A crowd that watches a poll over WebSockets, as cheaply as a program can, and what it saw when.

`python -m tests.support.watchers URL COUNT SECONDS RATE` watches, casts RATE votes a second meanwhile, and prints JSON.
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

_REVISION = re.compile(rb'"revision":(\d+)')
_TEXT, _CLOSE, _PING, _PONG = 0x1, 0x8, 0x9, 0xA


@dataclass(slots=True, eq=False)
class Watcher:
    """One connection: the newest message, when which revision came, and with which code it was closed."""

    url: str
    socket: socket.socket
    unread: bytes = b""
    message: bytes = b""
    revision: int = -1
    seen: list[tuple[float, int]] = field(default_factory=list)
    closed: int | None = None
    fell: bool = False

    def read(self) -> bool:
        """Take what has come, and say whether the connection is still there."""
        try:
            received = self.socket.recv(1 << 16)
        except BlockingIOError:
            return True
        except ConnectionError:
            received = b""
        if not received:
            self.closed = self.closed or 1006
            return False
        self.unread += received
        now = monotonic()
        while (frame := _frame(self.unread)) is not None:
            opcode, payload, length = frame
            self.unread = self.unread[length:]
            if opcode == _TEXT:
                self.message = payload
                revision = int(_REVISION.search(payload)[1])  # type: ignore[index]
                self.fell |= revision < self.revision
                self.revision = revision
                self.seen.append((now, revision))
            elif opcode == _PING:
                self.socket.send(_masked(_PONG, payload))
            elif opcode == _CLOSE:
                self.closed = struct.unpack(">H", payload[:2])[0] if payload else 1005
                self.socket.send(_masked(_CLOSE, payload))
        return True


class Watchers:
    """`count` watchers of a poll, who come back after a second at the next of `urls` when they are cut off.

    Read in a thread, from the beginning of the `with` to its end.
    """

    def __init__(self, urls: Sequence[str], count: int, *, poll: int = 1) -> None:
        self._urls = urls
        self._poll = poll
        self.watchers: list[Watcher] = []
        self.reconnects = 0
        self.closings: Counter[int | None] = Counter()  # codes with which connections were closed
        self._epoll = select.epoll()
        self._by_file: dict[int, Watcher] = {}
        for place in range(count):
            self._add(connect(urls[place % len(urls)], poll))
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._read, name="watchers")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._ending.set()
        self._thread.join()
        for watcher in self.watchers:
            watcher.socket.close()
        self._epoll.close()

    @property
    def revisions(self) -> set[int]:
        """Which revisions they see now."""
        return {watcher.revision for watcher in self.watchers}

    @property
    def open(self) -> int:
        return sum(watcher.closed is None for watcher in self.watchers)

    @property
    def votes(self) -> set[int]:
        """How many votes they see now, in all; -1 of who has just come, and sees nothing yet."""
        return {
            sum(choice["votes"] for choice in json.loads(watcher.message)["choices"].values())
            if watcher.message
            else -1
            for watcher in list(self.watchers)
        }

    @property
    def fell(self) -> bool:
        """Whether any of them saw an earlier revision after a later one, on one connection."""
        return any(watcher.fell for watcher in self.watchers)

    def _add(self, watcher: Watcher) -> None:
        self.watchers.append(watcher)
        self._by_file[watcher.socket.fileno()] = watcher
        self._epoll.register(watcher.socket, select.EPOLLIN)

    def _read(self) -> None:
        lost: list[tuple[float, str]] = []
        while not self._ending.is_set():
            for file, _ in self._epoll.poll(0.05):
                watcher = self._by_file[file]
                if not watcher.read():
                    self._epoll.unregister(file)
                    del self._by_file[file]
                    watcher.socket.close()
                    self.watchers.remove(watcher)
                    self.reconnects += 1
                    self.closings[watcher.closed] += 1
                    lost.append((monotonic() + 0.2, self._urls[(self._urls.index(watcher.url) + 1) % len(self._urls)]))
            for when, url in [each for each in lost if each[0] < monotonic()]:
                lost.remove((when, url))
                try:
                    self._add(connect(url, self._poll))
                except OSError:
                    lost.append((monotonic() + 0.2, self._urls[(self._urls.index(url) + 1) % len(self._urls)]))


def connect(url: str, poll: int = 1) -> Watcher:
    """Open a WebSocket (RFC 6455). Raises OSError where that is refused."""
    parts = urlsplit(url)
    assert parts.hostname
    connection = socket.create_connection((parts.hostname, parts.port), timeout=10)
    connection.sendall(
        f"GET /poll/{poll}/live HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n\r\n".encode()
    )
    answer = b""
    while b"\r\n\r\n" not in answer:
        received = connection.recv(4096)
        if not received:
            raise ConnectionResetError
        answer += received
    if b" 101 " not in answer.split(b"\r\n")[0]:
        connection.close()
        raise ConnectionRefusedError(answer.split(b"\r\n")[0].decode())
    connection.settimeout(0)
    return Watcher(url, connection, unread=answer.partition(b"\r\n\r\n")[2])


def _frame(data: bytes) -> tuple[int, bytes, int] | None:
    """Opcode, payload and length of the first frame; None while it isn't complete."""
    if len(data) < 2:
        return None
    size, begin = data[1] & 0x7F, 2
    if size == 126:
        if len(data) < 4:
            return None
        size, begin = struct.unpack(">H", data[2:4])[0], 4
    if len(data) < begin + size:
        return None
    return data[0] & 0x0F, data[begin : begin + size], begin + size


def _masked(opcode: int, payload: bytes) -> bytes:
    """A client's frame. Its mask is zero, which the standard allows."""
    return bytes((0x80 | opcode, 0x80 | len(payload))) + bytes(4) + payload


def vote(connection: http.client.HTTPConnection, poll: int = 1, choice: int = 1) -> int:
    """A new voter votes; returns the revision that counts them."""
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": f"voter={secrets.token_hex(16)}"}
    connection.request("POST", f"/poll/{poll}/vote", f"choice={choice}", headers)
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 303, answer.status
    return int((answer.getheader("Location") or "").partition("after=")[2])


def main() -> None:
    url, count, seconds, rate = sys.argv[1], *map(int, sys.argv[2:5])
    cast: dict[int, float] = {}
    with Watchers([url], count) as watchers:
        print("ready", flush=True)
        sys.stdin.readline()
        connection = http.client.HTTPConnection(urlsplit(url).netloc)
        begun = monotonic()
        for number in range(seconds * rate):
            sleep(max(0, begun + number / rate - monotonic()))
            sent = monotonic()
            cast.setdefault(vote(connection), sent)
        sleep(1 if rate else seconds)
        newest = max(cast, default=-1)
        answer: dict[str, object] = {
            "open": watchers.open,
            "right": sum(watcher.revision >= newest for watcher in watchers.watchers),
            "fell": sum(watcher.fell for watcher in watchers.watchers),
        }
    # Not before: it takes a while, and keeps the watchers from answering the heartbeat.
    answer["delays"] = delays(watchers.watchers, cast)
    print(json.dumps(answer), flush=True)


def delays(watchers: Sequence[Watcher], cast: dict[int, float]) -> dict[str, float]:
    """Seconds from a ballot's being sent to its being seen, over all watchers and all ballots."""
    revisions = sorted(cast)
    found: Counter[float] = Counter()  # by millisecond: there are millions
    for watcher in watchers:
        before = 0
        for moment, revision in watcher.seen:
            upto = bisect_right(revisions, revision)
            for counted in revisions[before:upto]:
                found[round(moment - cast[counted], 3)] += 1
            before = upto
    return {"median": quantile(found, 0.5), "p99": quantile(found, 0.99), "most": max(found)} if found else {}


def quantile(found: Counter[float], share: float) -> float:
    rest = share * found.total()
    for value in sorted(found):
        rest -= found[value]
        if rest <= 0:
            return value
    return max(found)


if __name__ == "__main__":
    main()
