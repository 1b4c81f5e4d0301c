"""Two hosts of each kind, behind nginx, on machines of their own: what is lost of them, and what is not."""

import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.faults.conftest import assert_exact, by_socket, pair, several
from tests.faults.test_lost_database import first_vote_after
from tests.faults.test_lost_processes import answer, post
from tests.support.crowd import Crowd
from tests.support.network import Machine, machines
from tests.support.processes import Polls, command, eventually, serving, write

SOON = 5  # seconds in which votes are counted again, counted from the promotion

NGINX = """
daemon off;
user root;
pid nginx.pid;
worker_processes 1;
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    upstream polls {
        SERVERS
        keepalive 32;
    }
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $http_host;
    proxy_connect_timeout 1s;
    proxy_read_timeout 3s;
    server {
        listen 80;
        location / {
            proxy_pass http://polls;
        }
        location ~ ^/poll/[0-9]+/vote$ {
            error_page 418 = @again;
            if ($cookie_voter) { return 418; }
            proxy_pass http://polls;
        }
        # Who has a cookie may try at the other one: it is the same ballot.
        location @again {
            proxy_next_upstream error timeout http_502 http_503 http_504 non_idempotent;
            proxy_next_upstream_tries 2;
            proxy_pass http://polls;
        }
    }
}
"""


@contextmanager
def nginx(folder: Path, machine: Machine, applications: Sequence[str]) -> Iterator[None]:
    """nginx on a machine, port 80, in front of applications."""
    if shutil.which("nginx") is None:
        pytest.skip("nginx is not installed (on Debian: apt-get install nginx)")
    folder.mkdir()
    servers = " ".join(f"server {urlsplit(url).netloc} max_fails=1 fail_timeout=1s;" for url in applications)
    (folder / "nginx.conf").write_text(NGINX.replace("SERVERS", servers))
    words = [*machine.inside, "nginx", "-p", str(folder), "-c", "nginx.conf", "-e", "error.log"]
    with subprocess.Popen(words) as process:
        try:
            assert eventually((folder / "nginx.pid").exists)
            yield
        finally:
            process.terminate()


@contextmanager
def applications(folder: Path, config: dict[str, object], *where: Machine) -> Iterator[list[Polls]]:
    """polls on each machine, port 8080."""
    with ExitStack() as processes:
        yield [
            processes.enter_context(
                serving(folder, f"--host={machine.address}", "--port=8080", config=config, inside=machine.inside)
            )
            for machine in where
        ]


def is_ready(polls: Polls, seen_from: Machine) -> bool:
    def ask() -> bool:
        try:
            with urllib.request.urlopen(f"{polls.url}/readyz", timeout=10) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    return bool(seen_from.ask(ask))


def vote(polls: Polls, voter: int, seen_from: Machine) -> int:
    return int(seen_from.ask(lambda: answer(post(polls, voter)).status))


def test_a_crowd_loses_nothing_while_hosts_are_cut_off_and_a_standby_takes_over(tmp_path: Path) -> None:
    with (
        machines(5) as (front, left, right, upper, lower),
        pair(tmp_path, upper, lower) as (primary, standby),
        applications(tmp_path, several(primary, standby), left, right) as (one, other),
        nginx(tmp_path / "nginx", front, [one.url, other.url]),
    ):
        primary.wait_for_standby()
        with Crowd(["http://127.0.0.1"], machine=front, pause=0.1) as crowd:
            time.sleep(1)
            left.cut(upper)
            left.cut(lower)
            time.sleep(6)
            assert not is_ready(one, front)
            assert first_vote_after(crowd, time.monotonic()) < SOON
            left.mend(upper)
            left.mend(lower)
            assert eventually(lambda: is_ready(one, front))

            front.cut(left)
            time.sleep(4)
            assert first_vote_after(crowd, time.monotonic()) < SOON
            front.mend(left)
            assert eventually(lambda: is_ready(one, front))

            primary.kill()
            time.sleep(0.5)
            assert not is_ready(other, front)
            promoted = time.monotonic()
            standby.promote()
            assert first_vote_after(crowd, promoted) < SOON
            assert eventually(lambda: is_ready(one, front) and is_ready(other, front))
            time.sleep(1)

        assert crowd.total() > 2500
        assert "Traceback" not in one.log.read_text() + other.log.read_text()
        assert_exact(write(tmp_path, by_socket(standby)).parent, standby, crowd)


def test_an_old_primary_that_is_cut_off_acknowledges_nothing(tmp_path: Path) -> None:
    with (
        machines(5) as (front, left, right, upper, lower),
        pair(tmp_path, upper, lower) as (primary, standby),
        applications(tmp_path, several(primary, standby), left, right) as (one, other),
    ):
        primary.wait_for_standby()
        assert vote(one, 0, front) == 303
        upper.cut(lower)
        left.cut(lower)
        assert [vote(polls, voter, front) for polls, voter in ((one, 1), (other, 2))] == [503, 503]

        standby.promote()

        # Who reaches both goes to the one that was promoted, who reaches the old one alone counts for nobody.
        assert eventually(lambda: vote(other, 2, front) == 303)
        assert primary.execute("SELECT pg_is_in_recovery()") == [(False,)]
        assert vote(one, 1, front) == 503
        assert standby.execute("SELECT ballots FROM question") == [(2,)]
        left.mend(lower)
        assert eventually(lambda: vote(one, 1, front) == 303)
        assert standby.execute("SELECT ballots FROM question") == [(3,)]
        assert command(tmp_path, "verify", f"--config={write(tmp_path, by_socket(standby))}").returncode == 0
