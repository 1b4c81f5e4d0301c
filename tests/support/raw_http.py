"""A client that returns the bytes of responses and of WebSocket messages as they came."""

import socket
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlencode

HOST = "polls.example"
_TIMEOUT = 30  # seconds
_HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


class Request(NamedTuple):
    """A request, with the fields of a form if it is sent."""

    method: str
    path: str
    form: Mapping[str, str] | None = None
    headers: Mapping[str, str] = {}

    def serialized(self, cookies: Mapping[str, str]) -> bytes:
        """Return its bytes, with `cookies`."""
        headers = {"Host": HOST, **self.headers}
        if cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
        body = b""
        if self.form is not None:
            body = urlencode(self.form).encode()
            headers |= {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(body))}
        lines = [f"{self.method} {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode() + body


class Response(NamedTuple):
    """A response: its status line and headers, and its body."""

    head: bytes
    body: bytes

    @property
    def status(self) -> int:
        return int(self.head.split(maxsplit=2)[1])

    def header(self, name: str) -> str | None:
        """Return the first header `name`."""
        return next(iter(self.headers(name)), None)

    def headers(self, name: str) -> list[str]:
        """Return all headers `name`."""
        prefix = f"{name}: ".encode().lower()
        lines = self.head.split(b"\r\n")
        return [line[len(prefix) :].decode() for line in lines if line.lower().startswith(prefix)]

    def cookies(self) -> dict[str, str]:
        """Return {name: value} of the cookies that it sets."""
        pairs = (line.partition(";")[0].partition("=") for line in self.headers("Set-Cookie"))
        return {name: value for name, _, value in pairs}


class RawClient:
    """A client with one connection, which is opened again if the server has closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def send(self, request: Request, cookies: Mapping[str, str]) -> None:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=_TIMEOUT)
            self._received = bytearray()
        self._socket.sendall(request.serialized(cookies))

    def receive(self, request: Request) -> Response:
        """Return the response to `request`, which was sent before."""
        head = self._read_until(b"\r\n\r\n")
        response = Response(head, b"")
        assert response.header("Transfer-Encoding") is None
        if request.method != "HEAD" and response.status not in {101, 304}:
            response = Response(head, self._read(int(response.header("Content-Length") or 0)))
        if "close" in (response.header("Connection") or "").lower():
            self.close()
        return response

    def receive_message(self) -> bytes:
        """Return the next message of a WebSocket."""
        opcode, length = self._read(2)
        assert opcode == 0x81, "a text in one frame"
        if length >= 126:
            length = int.from_bytes(self._read(2 if length == 126 else 8))
        return self._read(length)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _read_until(self, end: bytes) -> bytes:
        while (position := self._received.find(end)) < 0:
            self._receive_more()
        return self._take(position + len(end))

    def _read(self, count: int) -> bytes:
        while len(self._received) < count:
            self._receive_more()
        return self._take(count)

    def _receive_more(self) -> None:
        assert self._socket is not None
        received = self._socket.recv(65_536)
        assert received, "the server closed the connection"
        self._received += received

    def _take(self, count: int) -> bytes:
        taken = bytes(self._received[:count])
        del self._received[:count]
        return taken


def handshake(path: str) -> Request:
    """Return the request that opens a WebSocket."""
    return Request("GET", path, headers=_HANDSHAKE)
