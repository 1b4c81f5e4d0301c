"""nginx in front of gunicorn with four workers, with the configuration files in the wheel."""

import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.support.crowd import RESPONSE_TIMEOUT, Crowd
from tests.support.healthz import healthy
from tests.support.processes import TIMEOUT, eventually, receive_status, write
from tests.support.readers import Readers
from tests.support.site import (
    PROGRAMS,
    SOCKETS,
    Site,
    children,
    exclusive_ports,
    gunicorn,
    kill,
    new_site,
    nginx,
    running,
    serves,
)
from tests.support.watchers import Watchers

pytestmark = pytest.mark.timeout(1200)  # includes waiting for another run that uses the ports and sockets

WORKERS = ["aiohttp.GunicornWebWorker", "aiohttp.GunicornUVLoopWebWorker"]


@pytest.fixture(scope="module")
def site(wheel: Path) -> Iterator[Site]:
    with exclusive_ports(), new_site(wheel) as site, nginx(site):
        yield site


@pytest.fixture(params=WORKERS)
def arbiter(site: Site, request: pytest.FixtureRequest) -> Iterator["subprocess.Popen[str]"]:
    """gunicorn's arbiter, with each class of workers; the first is the one in gunicorn.conf.py."""
    options = [] if request.param == WORKERS[0] else [f"--worker-class={request.param}"]
    with gunicorn(site, *options) as process:
        yield process


def test_no_request_fails_in_a_reload_and_websockets_reconnect(site: Site, arbiter: "subprocess.Popen[str]") -> None:
    poll = site.add_poll("Tea?", "Yes", "No")
    polls = {poll: site.choices(poll)}
    with (
        Watchers([site.url], 40, poll=poll) as watchers,
        Readers(site.url, ["/", f"/poll/{poll}", f"/poll/{poll}/results", "/static/css/public.css"]) as readers,
        Crowd([site.url], polls) as known,
        Crowd([site.url], polls, sends_cookie=False, retries=False, concurrency=8) as others,
    ):
        for _ in range(2):
            time.sleep(1)
            old = children(arbiter)
            arbiter.send_signal(signal.SIGHUP)
            assert eventually(lambda old=old: len(children(arbiter)) == 4 and not children(arbiter) & old)
            votes = known.total()
            assert eventually(lambda votes=votes: known.total() > votes + 100 and site.listeners() == 4)

    assert set(known.answers) == {303}, known.answers
    assert set(readers.answers) == {200}, readers.answers
    assert set(others.answers) == {303}, others.answers
    assert known.slowest < RESPONSE_TIMEOUT
    assert set(watchers.closings) == {1001}, watchers.closings
    assert watchers.reconnects >= 40
    site.assert_exact(poll, known, others)
    # gunicorn logs as polls does.
    log = (site.folder / "var/gunicorn.out.log").read_text()
    assert all(line.startswith("{") for line in log.splitlines())
    assert re.search(rf'"logger": "aiohttp.access", "message": "GET /poll/{poll} 200 ', log)
    assert "Traceback" not in log


def test_killed_workers_are_replaced_and_no_ballot_is_lost(site: Site, arbiter: "subprocess.Popen[str]") -> None:
    poll = site.add_poll("Coffee?", "Yes", "No")
    # The workers share their sockets: the others answer, except on connections that the killed one had accepted. On a
    # busy machine they share its processors with those that start.
    alive = healthy(*map(str, SOCKETS), seconds=RESPONSE_TIMEOUT, may_be_killed=True)
    with Crowd([site.url], {poll: site.choices(poll)}, concurrency=16) as known, alive:
        for pid in children(arbiter):
            time.sleep(0.2)
            kill(pid)
            assert eventually(lambda pid=pid: pid not in children(arbiter) and len(children(arbiter)) == 4)

    # nginx may retry a request at the same worker.
    assert set(known.answers) <= {303, 502}, known.answers
    assert known.answers[502] <= 4 * 16
    site.assert_exact(poll, known)


def test_it_shuts_down_gracefully_with_open_websockets(site: Site, arbiter: "subprocess.Popen[str]") -> None:
    poll = site.add_poll("Water?", "Yes", "No")
    with Watchers([site.url], 20, poll=poll) as watchers:
        start = time.monotonic()
        arbiter.send_signal(signal.SIGTERM)
        assert arbiter.wait(TIMEOUT) == 0
        seconds = time.monotonic() - start

        assert eventually(lambda: watchers.closings[1001] == 20)
    assert seconds < 15
    assert not any(path.exists() for path in SOCKETS)


def run_gunicorn(folder: Path, file: str) -> "subprocess.CompletedProcess[str]":
    arguments = [
        "polls.app:application",
        "-c",
        str(Path("config/gunicorn.conf.py").absolute()),
        "--bind=unix:gunicorn.sock",
    ]
    return subprocess.run(
        [PROGRAMS / "gunicorn", *arguments],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "POLLS_CONFIG": file, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def test_a_private_server_is_refused_in_one_line(tmp_path: Path) -> None:
    result = run_gunicorn(tmp_path, str(write(tmp_path, {"postgres": {"embedded": "var/postgres"}})))

    assert (result.returncode, result.stdout, result.stderr) == (
        4,
        "",
        "polls: gunicorn can't run a private PostgreSQL. Name a server in the file that $POLLS_CONFIG names\n",
    )


def test_an_invalid_configuration_is_refused_with_all_its_errors(tmp_path: Path) -> None:
    result = run_gunicorn(tmp_path, str(write(tmp_path, {"postgres": {}, "prot": 1, "log": {"level": "loud"}})))

    assert result.returncode == 4
    assert [line.partition(": ")[2].partition(":")[0] for line in result.stderr.splitlines()] == ["log.level", "prot"]


@pytest.mark.parametrize("kind", WORKERS)
def test_a_worker_limits_its_connections(site: Site, tmp_path: Path, kind: str) -> None:
    shipped = (site.folder / "config/production.yaml").read_text()
    settings = tmp_path / "limited.yaml"
    settings.write_text(f"{shipped}\nlimits: {{connections: 5}}\n")
    path = tmp_path / "limited.sock"
    options = [f"--bind=unix:{path}", "--workers=1", f"--worker-class={kind}"]
    argv = [PROGRAMS / "gunicorn", "polls.app:application", "-c", "config/gunicorn.conf.py", *options]
    with running(site, *argv, environ={"POLLS_CONFIG": str(settings)}), ExitStack() as stack:
        assert eventually(lambda: serves(path)), site.logs()
        clients = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(50)]
        for client in clients:
            client.settimeout(TIMEOUT)
            client.connect(str(path))
            with suppress(ConnectionError):
                client.sendall(b"GET / HTTP/1.1\r\nHost: polls\r\n\r\n")

        statuses = [receive_status(client) for client in clients]

    assert sorted(statuses) == [b""] * 45 + [b"HTTP/1.1 200"] * 5
    assert "the limit of 5 open connections is reached" in site.logs()


def test_workers_are_restarted_until_the_database_is_available(site: Site) -> None:
    site.server.stop()
    environ = {"POLLS_CONFIG": "config/production.yaml"}
    log = site.folder / "var/no-database.log"
    try:
        with (
            log.open("w") as errors,
            subprocess.Popen(
                [PROGRAMS / "gunicorn", "polls.app:application", "-c", "config/gunicorn.conf.py"],
                cwd=site.folder,
                env=site.environ | environ,
                stderr=errors,
            ) as arbiter,
        ):
            try:
                assert eventually(lambda: log.read_text().count("can't reach PostgreSQL") > 4), log.read_text()
                assert "Traceback" not in log.read_text()
                site.server.start()
                assert eventually(lambda: site.get("/").status == 200)
            finally:
                arbiter.terminate()
    finally:
        if not site.server.is_running:
            site.server.start()
