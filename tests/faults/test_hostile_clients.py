"""A thousand hostile posts and a hundred hostile WebSocket frames: no error of polls, and prompt answers to others."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.faults.conftest import prepare
from tests.faults.conftest import settings as settings_of
from tests.support import hostile
from tests.support.healthz import healthy
from tests.support.processes import Polls, command, eventually, serving
from tests.support.servers import Server, running
from tests.support.watchers import Watchers, connect, vote

POSTS, FRAMES = 1000, 100
DEADLINE = 5  # seconds for an answer

# Random in each run: what is found is shown as an example to repeat, and belongs into the corpus.
RANDOM = settings(
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with running(folder, {"fsync": "off"}) as server:
        prepare(folder, server, settings_of(server))
        yield server


@pytest.fixture
def polls(folder: Path, server: Server) -> Iterator[Polls]:
    """A process that answers `/healthz` in time until the end of the test, and logs no error."""
    with serving(folder, config=settings_of(server, limits={"body_timeout": 1})) as polls, healthy(polls.url):
        yield polls
    log = polls.log.read_text()
    assert "Traceback" not in log
    assert " ERROR " not in log


def send(polls: Polls, request: bytes, seconds: float) -> bytes:
    """Send a request, and return the beginning of the response; nothing if there is none within `seconds`."""
    parts = urlsplit(polls.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=seconds) as connection:
        try:
            connection.sendall(request)
            return connection.recv(4096)
        except (ConnectionError, TimeoutError):
            return b""


def is_error(response: bytes) -> bool:
    return response.startswith((b"HTTP/1.1 5", b"HTTP/1.0 5"))


def counts_a_vote(response: bytes) -> bool:
    return b"Location: /poll/1/results?after=" in response


def test_a_thousand_hostile_posts_get_no_error_and_count_no_vote_that_is_not_stored(
    polls: Polls, server: Server, folder: Path
) -> None:
    requests = hostile.corpus()
    responses: list[bytes] = []

    @settings(RANDOM, max_examples=POSTS - len(requests))
    @given(hostile.requests)
    def send_random(request: bytes) -> None:
        responses.append(send(polls, request, seconds=0.2))  # many wait for more bytes, which don't come
        assert not is_error(responses[-1])

    with ThreadPoolExecutor(10) as threads:
        responses += threads.map(lambda request: send(polls, request, DEADLINE), requests)
    assert [request for request, response in zip(requests, responses, strict=True) if is_error(response)] == []
    send_random()

    acknowledged = sum(map(counts_a_vote, responses))
    ((ballots,),) = server.execute("SELECT count(*)::int FROM ballot")
    assert len(responses) >= POSTS
    assert 10 < acknowledged <= ballots <= acknowledged + responses.count(b"")  # type: ignore[operator]
    assert command(folder, "verify", "--config=polls.yaml").returncode == 0


def close_code(polls: Polls, frames: bytes) -> int | None:
    """Send frames as a new watcher, and return the code with which the server closes the connection."""
    watcher = connect(polls.url)
    with watcher.socket, suppress(ConnectionError):
        watcher.socket.sendall(frames)
        assert eventually(lambda: not watcher.read() or watcher.closed, DEADLINE)
    return watcher.closed


def test_a_hundred_hostile_frames_end_their_own_connection_only(polls: Polls, server: Server) -> None:
    @settings(RANDOM, max_examples=FRAMES - len(hostile.FRAMES))
    @given(hostile.frames)
    def send_random(frames: bytes) -> None:
        watcher = connect(polls.url)
        with watcher.socket, suppress(ConnectionError):
            watcher.socket.sendall(frames)
            watcher.read()

    with Watchers([polls.url], 10) as watchers:
        codes = {name: close_code(polls, frames) for name, (frames, _) in hostile.FRAMES.items()}
        send_random()
        voter = HTTPConnection(urlsplit(polls.url).netloc)
        vote(voter)
        voter.close()
        ((ballots,),) = server.execute("SELECT count(*)::int FROM ballot")

        assert codes == {name: code for name, (_, code) in hostile.FRAMES.items()}
        assert eventually(lambda: watchers.votes == {ballots})
        assert (watchers.reconnects, watchers.open) == (0, 10)
