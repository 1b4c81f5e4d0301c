"""A client that keeps requesting `/healthz` while processes are attacked or lose their database."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from urllib.parse import urlsplit

MAX_SECONDS = 1  # 0.2 on an idle machine
_INTERVAL = 0.02  # seconds between two requests


@contextmanager
def healthy(*urls: str) -> Iterator[None]:
    """Request `/healthz` of the processes at `urls` until the end of the `with`.

    Fails at the end if a process gave another answer than 200, or was late: the message names the slowest answer.
    """
    ending = threading.Event()
    answers: dict[str, list[tuple[float, int | str]]] = {url: [] for url in urls}  # {url: [(seconds, answer)]}
    threads = [threading.Thread(target=_request_until, args=(ending, url, answers[url]), name=url) for url in urls]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ending.set()
        for thread in threads:
            thread.join()
    for url, given in answers.items():
        seconds, answer = max(given, key=lambda each: each[0])
        slowest = f"{url}/healthz: the slowest of {len(given)} answers was {answer} after {seconds:.2f} seconds"
        assert {answer for _, answer in given} == {200}, (slowest, {answer for _, answer in given})
        assert seconds < MAX_SECONDS, slowest


def _request_until(ending: threading.Event, url: str, answers: list[tuple[float, int | str]]) -> None:
    while not answers or not ending.wait(_INTERVAL):
        start = monotonic()
        answer = _request(url)
        answers.append((monotonic() - start, answer))


def _request(url: str) -> int | str:
    """Return the status of the answer over a new connection, or the name of the error."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10 * MAX_SECONDS)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    finally:
        connection.close()
