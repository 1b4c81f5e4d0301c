"""A client that keeps requesting `/healthz` while processes are attacked or lose their database."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from urllib.parse import urlsplit

MAX_SECONDS = 1  # 0.2 on an idle machine
_INTERVAL = 0.02  # seconds between two requests


@contextmanager
def healthy(*addresses: str, seconds: float = MAX_SECONDS, may_be_killed: bool = False) -> Iterator[None]:
    """Request `/healthz` of processes until the end of the `with`; `addresses` are their URLs or UNIX sockets.

    Fails at the end if an answer took longer than `seconds` or was another than 200: the message names the slowest one.
    If processes `may_be_killed`, connections may be closed without an answer.
    """
    ending = threading.Event()
    answers: dict[str, list[tuple[float, int | str]]] = {address: [] for address in addresses}  # (seconds, answer)
    threads = [threading.Thread(target=_request_until, args=(ending, *each), name=each[0]) for each in answers.items()]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ending.set()
        for thread in threads:
            thread.join()
    expected = {200, "closed"} if may_be_killed else {200}
    for address, given in answers.items():
        longest, answer = max(given, key=lambda each: each[0])
        slowest = f"/healthz of {address}: the slowest of {len(given)} answers was {answer} after {longest:.2f} seconds"
        assert 200 in {answer for _, answer in given} <= expected, (slowest, {answer for _, answer in given})
        assert longest < seconds, slowest


def _request_until(ending: threading.Event, address: str, answers: list[tuple[float, int | str]]) -> None:
    while not answers or not ending.wait(_INTERVAL):
        start = monotonic()
        answer = _request(address)
        answers.append((monotonic() - start, answer))


def _request(address: str) -> int | str:
    """Return the status of the answer over a new connection, or why there is none."""
    try:
        with _connect(address) as connection:
            connection.settimeout(10 * MAX_SECONDS)
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: polls\r\nConnection: close\r\n\r\n")
            status = connection.recv(len(b"HTTP/1.1 200"))
    except ConnectionError:
        return "closed"
    except TimeoutError:
        return "nothing"
    return int(status.split()[1]) if status else "closed"


def _connect(address: str) -> socket.socket:
    if address.startswith("/"):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(address)
        return connection
    parts = urlsplit(address)
    return socket.create_connection((parts.hostname, parts.port))
