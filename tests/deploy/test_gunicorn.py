"""nginx in front of gunicorn with four workers, all with the files that the wheel ships."""

import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.support.crowd import AT_ONCE, TOO_LONG, Crowd
from tests.support.processes import TIMEOUT, eventually, how_it_begins, write
from tests.support.readers import Readers
from tests.support.site import (
    PROGRAMS,
    SOCKETS,
    Site,
    alone,
    children,
    gunicorn,
    kill,
    laid_out,
    nginx,
    running,
    serves,
)
from tests.support.watchers import Watchers

pytestmark = pytest.mark.timeout(1200)  # another run of these tests may have the ports and the sockets first

WORKERS = ["aiohttp.GunicornWebWorker", "aiohttp.GunicornUVLoopWebWorker"]


@pytest.fixture(scope="module")
def site(wheel: Path) -> Iterator[Site]:
    with alone(), laid_out(wheel) as site, nginx(site):
        yield site


@pytest.fixture(params=WORKERS)
def arbiter(site: Site, request: pytest.FixtureRequest) -> Iterator["subprocess.Popen[str]"]:
    """gunicorn, which looks after its workers; the first kind of them is what the file says."""
    options = [] if request.param == WORKERS[0] else [f"--worker-class={request.param}"]
    with gunicorn(site, *options) as process:
        yield process


def test_a_reload_under_load_fails_nobody_and_watchers_come_back(site: Site, arbiter: "subprocess.Popen[str]") -> None:
    poll = site.ask("Tea?", "Yes", "No")
    polls = {poll: site.choices(poll)}
    with (
        Watchers([site.url], 40, poll=poll) as watchers,
        Readers(site.url, ["/", f"/poll/{poll}", f"/poll/{poll}/results", "/static/css/base.css"]) as readers,
        Crowd([site.url], polls) as known,
        Crowd([site.url], polls, known=False, persistent=False, at_once=8) as strangers,
    ):
        for _ in range(2):
            time.sleep(1)
            old = children(arbiter)
            arbiter.send_signal(signal.SIGHUP)
            assert eventually(lambda old=old: len(children(arbiter)) == 4 and not children(arbiter) & old)
            served = known.total()
            assert eventually(lambda served=served: known.total() > served + 100 and site.listeners() == 4)

    assert set(known.answers) == {303}, known.answers
    assert set(readers.answers) == {200}, readers.answers
    assert set(strangers.answers) == {303}, strangers.answers
    assert known.slowest < TOO_LONG
    assert set(watchers.closings) == {1001}, watchers.closings
    assert watchers.reconnects >= 40
    site.expect_exact(poll, known, strangers)
    # What is said is said as polls itself says it.
    log = (site.folder / "var/gunicorn.out.log").read_text()
    assert all(line.startswith("{") for line in log.splitlines())
    assert re.search(rf'"logger": "aiohttp.access", "message": "GET /poll/{poll} 200 ', log)
    assert "Traceback" not in log


def test_workers_that_are_killed_are_replaced_and_nothing_is_lost(site: Site, arbiter: "subprocess.Popen[str]") -> None:
    poll = site.ask("Coffee?", "Yes", "No")
    with Crowd([site.url], {poll: site.choices(poll)}) as known:
        for pid in children(arbiter):
            time.sleep(0.2)
            kill(pid)
            assert eventually(lambda pid=pid: pid not in children(arbiter) and len(children(arbiter)) == 4)

    # Workers share their sockets: what was in flight may be sent to the same one twice.
    assert set(known.answers) <= {303, 502}, known.answers
    assert known.answers[502] <= 4 * AT_ONCE
    site.expect_exact(poll, known)


def test_it_ends_in_order_while_people_watch(site: Site, arbiter: "subprocess.Popen[str]") -> None:
    poll = site.ask("Water?", "Yes", "No")
    with Watchers([site.url], 20, poll=poll) as watchers:
        begun = time.monotonic()
        arbiter.send_signal(signal.SIGTERM)
        assert arbiter.wait(TIMEOUT) == 0
        took = time.monotonic() - begun

        assert eventually(lambda: watchers.closings[1001] == 20)
    assert took < 15
    assert not any(path.exists() for path in SOCKETS)


def started(folder: Path, file: str) -> "subprocess.CompletedProcess[str]":
    words = [
        "polls.app:application",
        "-c",
        str(Path("config/gunicorn.conf.py").absolute()),
        "--bind=unix:gunicorn.sock",
    ]
    return subprocess.run(
        [PROGRAMS / "gunicorn", *words],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "POLLS_CONFIG": file, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def test_a_private_server_is_refused_in_one_line(tmp_path: Path) -> None:
    done = started(tmp_path, str(write(tmp_path, {"postgres": {"embedded": "var/postgres"}})))

    assert (done.returncode, done.stdout, done.stderr) == (
        4,
        "",
        "polls: gunicorn can't run a private PostgreSQL: name a server in the file that $POLLS_CONFIG names\n",
    )


def test_a_mistaken_configuration_is_refused_with_all_its_faults(tmp_path: Path) -> None:
    done = started(tmp_path, str(write(tmp_path, {"postgres": {}, "prot": 1, "log": {"level": "loud"}})))

    assert done.returncode == 4
    assert [line.partition(": ")[2].partition(":")[0] for line in done.stderr.splitlines()] == ["log.level", "prot"]


@pytest.mark.parametrize("kind", WORKERS)
def test_a_worker_lets_in_as_many_as_it_may(site: Site, tmp_path: Path, kind: str) -> None:
    shipped = (site.folder / "config/production.yaml").read_text()
    settings = tmp_path / "narrow.yaml"
    settings.write_text(f"{shipped}\nlimits: {{connections: 5}}\n")
    (path,) = narrow = [tmp_path / "narrow.sock"]
    options = [f"--bind=unix:{path}", "--workers=1", f"--worker-class={kind}"]
    words = [PROGRAMS / "gunicorn", "polls.app:application", "-c", "config/gunicorn.conf.py", *options]
    with running(site, *words, environ={"POLLS_CONFIG": str(settings)}), ExitStack() as opened:
        assert eventually(lambda: all(map(serves, narrow))), site.logs()
        visitors = [opened.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(50)]
        for visitor in visitors:
            visitor.settimeout(TIMEOUT)
            visitor.connect(str(path))
            with suppress(ConnectionError):
                visitor.sendall(b"GET / HTTP/1.1\r\nHost: polls\r\n\r\n")

        answers = [how_it_begins(visitor) for visitor in visitors]

    assert sorted(answers) == [b""] * 45 + [b"HTTP/1.1 200"] * 5
    assert "connections were closed at once, since there were 5 already" in site.logs()


def test_while_the_database_is_away_workers_are_tried_again(site: Site) -> None:
    site.server.stop()
    environ = {"POLLS_CONFIG": "config/production.yaml"}
    log = site.folder / "var/away.log"
    try:
        with (
            log.open("w") as written,
            subprocess.Popen(
                [PROGRAMS / "gunicorn", "polls.app:application", "-c", "config/gunicorn.conf.py"],
                cwd=site.folder,
                env=site.environ | environ,
                stderr=written,
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
        if not site.server.runs:
            site.server.start()
