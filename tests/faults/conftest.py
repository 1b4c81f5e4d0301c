"""Real processes of polls over a real PostgreSQL that fsyncs, and what must hold after any fault."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.support.crowd import RESPONSE_TIMEOUT, Crowd
from tests.support.network import Machine
from tests.support.processes import Polls, command, serving, write
from tests.support.servers import USER, Server, running

Serve = Callable[..., AbstractContextManager[Polls]]

# Voters in polls of one answer, of several, and of scores: `serve(methods=True)` creates these polls.
CHOICES_OF_METHODS = {1: [1, 2], 2: [3, 4], 3: [5, 6]}
FORMS = {
    3: [("choice", "3"), ("choice", "4")],
    5: [("points.5", "4"), ("points.6", "1")],
    6: [("points.6", "5")],
}
CrowdOfMethods = partial(Crowd, polls=CHOICES_OF_METHODS, forms=FORMS)
Expect = Callable[..., None]


@pytest.fixture
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    with running(tmp_path, version=getattr(request, "param", max)) as server:
        yield server


def settings(server: Server, **others: object) -> dict[str, object]:
    return {"postgres": server.address | {"minsize": 2, "maxsize": 5}, "log": {"access": False}, **others}


@contextmanager
def pair(folder: Path, *machines: Machine) -> Iterator[tuple[Server, Server]]:
    """A primary with one poll of two choices and its standby, on two `machines` or both on this one.

    fsync is off: the tests kill processes, not machines.
    """
    first, second = machines or (None, None)
    for name in ("primary", "standby"):
        (folder / name).mkdir()
    with running(folder / "primary", {"fsync": "off"}, machine=first) as primary:
        prepare(folder, primary, settings_by_socket(primary))
        with running(folder / "standby", {"fsync": "off"}, machine=second, standby_of=primary) as standby:
            yield primary, standby


def settings_of_hosts(*servers: Server) -> dict[str, object]:
    """Return settings that list several hosts."""
    hosts = ["{host}:{port}".format_map(server.address) for server in servers]
    return {"postgres": {"host": hosts, "user": USER, "minsize": 2, "maxsize": 5}, "log": {"access": False}}


def settings_by_socket(server: Server) -> dict[str, object]:
    """Return settings that reach the server through its socket, on whatever machine it runs."""
    return {"postgres": server.address | {"host": str(server.folder)}}


@pytest.fixture
def serve(tmp_path: Path, server: Server) -> Serve:
    """Serve from the server, with a poll of two choices, or one of each method: `with serve(methods=True) as polls`."""
    config = settings(server)

    def serve(*options: str, poll: bool = True, methods: bool = False, **more: object) -> AbstractContextManager[Polls]:
        if methods:
            prepare(tmp_path, server, config, polls=3)
            server.execute(
                "INSERT INTO poll_settings (question_id, method, most_marks, most_points) "
                "VALUES (2, 'multiple', NULL, NULL), (3, 'score', NULL, 5) ON CONFLICT DO NOTHING"
            )
        elif poll:
            prepare(tmp_path, server, config)
        return serving(tmp_path, *options, config=config | more)

    return serve


def prepare(folder: Path, server: Server, config: dict[str, object], polls: int = 1) -> None:
    """Create the schema, and `polls` polls of two choices unless there are some."""
    done = command(folder, "migrate", f"--config={write(folder, config)}")
    assert done.returncode == 0, done.stderr
    if server.execute("SELECT id FROM question") == []:
        server.execute(
            f"""
            INSERT INTO question (question_text, pub_date) SELECT 'Tea?', now() FROM generate_series(1, {polls});
            INSERT INTO choice (question_id, choice_text)
            SELECT id, text FROM question CROSS JOIN (VALUES ('Yes'), ('No')) AS choices (text) ORDER BY 1, 2 DESC
            """
        )


@pytest.fixture
def expect_exact(tmp_path: Path, server: Server) -> Expect:
    """Assert that no acknowledged vote was lost or counted twice: `expect_exact(crowd)`."""
    return partial(assert_exact, tmp_path, server)


def assert_exact(folder: Path, server: Server, crowd: Crowd, *, at_most: int | None = None) -> None:
    done = command(folder, "verify", "--config=polls.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    ballots = dict(server.execute("SELECT marks[1], count(*) FROM ballot GROUP BY 1"))
    assert crowd.total() > 0
    whole = server.execute("SELECT DISTINCT marks, points FROM ballot")
    assert all((marks, points) == stored_as(crowd.fields(marks[0])) for marks, points in whole)  # type: ignore[index]
    if at_most is None:
        assert ballots == dict(crowd.counted), crowd.answers
    else:
        assert all(ballots[choice] >= crowd.counted[choice] for choice in crowd.counted), crowd.answers  # type: ignore[operator]
        assert sum(ballots.values()) <= at_most  # type: ignore[arg-type]
    assert crowd.slowest < RESPONSE_TIMEOUT


def stored_as(fields: Sequence[tuple[str, str]]) -> tuple[list[int], list[int] | None]:
    """Return the marks and points of a ballot with these fields."""
    points = {int(name.removeprefix("points.")): int(value) for name, value in fields if name != "choice"}
    return (list(points), list(points.values())) if points else ([int(value) for _, value in fields], None)


def readiness(url: str) -> tuple[int, str]:
    """Return the status of `/readyz` and the state of the database."""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=10) as answer:
            return answer.status, json.load(answer)["database"]
    except urllib.error.HTTPError as error:
        with error:
            return error.status, json.load(error)["database"]
