"""A site in a folder, as README describes it: the files of the wheel, and the real programs running on them."""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from time import monotonic, sleep
from urllib.parse import urlsplit

from polls import paths
from tests.support.crowd import Crowd
from tests.support.processes import TIMEOUT, command, eventually, free_port
from tests.support.servers import Server
from tests.support.servers import running as running_postgres

PORT, TLS_PORT = 8000, 8443  # as in nginx.conf and nginx-tls.conf
SOCKETS = [Path(f"/tmp/example_{number}.sock") for number in range(1, 5)]
PROGRAMS = Path(sys.executable).parent
PATH = f"{PROGRAMS}:{os.environ['PATH']}:/usr/sbin"

_LOCK_TIMEOUT = 900  # seconds to wait for another run of the tests that uses the ports and sockets


@dataclass(frozen=True, slots=True)
class Response:
    """A response to a client."""

    status: int
    headers: Message
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class Site:
    """A folder with config/, static/ and var/, and its database server."""

    folder: Path
    server: Server
    environ: dict[str, str] = field(default_factory=dict)

    url = f"http://127.0.0.1:{PORT}"

    def add_poll(self, text: str, *choices: str) -> int:
        """Add a published poll, and return its id."""
        ((poll,),) = self.server.execute(
            f"INSERT INTO question (question_text, pub_date) VALUES ('{text}', now() - interval '1 hour') RETURNING id"
        )
        for choice in choices:
            self.server.execute(f"INSERT INTO choice (question_id, choice_text) VALUES ({poll}, '{choice}')")
        return poll  # type: ignore[return-value]

    def choices(self, poll: int) -> list[int]:
        """Return the ids of a poll's choices, in order."""
        found = self.server.execute(f"SELECT id FROM choice WHERE question_id = {poll} ORDER BY id")
        return [number for (number,) in found]  # type: ignore[misc]

    def request(
        self,
        method: str,
        path: str,
        body: str | bytes | None = None,
        *,
        source: str = "127.0.0.1",
        client: http.client.HTTPConnection | None = None,
        **headers: str,
    ) -> Response:
        """Send a request to nginx, without cookies or redirects; `accept_language="zh"` is a header."""
        connection = client or http.client.HTTPConnection("127.0.0.1", PORT, timeout=30, source_address=(source, 0))
        names = {name.replace("_", "-").title(): value for name, value in headers.items()}
        if method == "POST":
            names.setdefault("Content-Type", "application/x-www-form-urlencoded")
        connection.request(method, path, body, names)
        response = connection.getresponse()
        answer = Response(response.status, response.headers, response.read())
        if client is None:
            connection.close()
        return answer

    def get(self, path: str, /, **headers: str) -> Response:
        return self.request("GET", path, **headers)

    def polls(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a polls command with the configuration of the site."""
        return command(self.folder, "--config=config/production.yaml", *arguments, **self.environ)

    def assert_exact(self, poll: int, known: Crowd, *others: Crowd) -> None:
        """Assert that every acknowledged ballot is counted once. `others` vote without a `voter` cookie."""
        done = self.polls("verify")
        assert done.returncode == 0, done.stdout + done.stderr
        counts = f"SELECT marks[1], count(*) FROM ballot WHERE question_id = {poll} GROUP BY 1"
        ballots: dict[int, int] = dict(self.server.execute(counts))  # type: ignore[arg-type]
        unknown = sum(crowd.unacknowledged for crowd in others)
        for choice in known.counted:
            counted = sum(crowd.counted[choice] for crowd in (known, *others))
            assert counted <= ballots[choice] <= counted + unknown

    def listeners(self) -> int:
        """Return the number of processes that listen for changes.

        gunicorn's workers share their sockets: a request doesn't show that all are ready.
        """
        heartbeat = "query LIKE 'SELECT clock_timestamp()%'"
        ((count,),) = self.server.execute(f"SELECT count(*) FROM pg_stat_activity WHERE {heartbeat}")
        return count  # type: ignore[return-value]

    def supervisorctl(self, *arguments: str) -> str:
        """Run supervisorctl, and return its output."""
        done = subprocess.run(
            [PROGRAMS / "supervisorctl", "-c", "config/supervisord.conf", *arguments],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=2 * TIMEOUT,
            check=False,
        )
        return done.stdout + done.stderr

    def logs(self) -> str:
        """Return the logs of all programs."""
        return "\n".join(f"== {file.name}\n{file.read_text()}" for file in sorted((self.folder / "var").glob("*.log")))


@contextmanager
def exclusive_ports() -> Iterator[None]:
    """Hold a lock on the fixed ports and sockets, which other runs of the tests on this machine use, too."""
    with socket.socket(socket.AF_UNIX) as lock:
        deadline = monotonic() + _LOCK_TIMEOUT
        while True:
            try:
                lock.bind("\0tests of polls: nginx")  # an abstract name, released when the process ends
                break
            except OSError:
                assert monotonic() < deadline, "another run of the tests has held the lock all the time"
                sleep(0.5)
        yield
    for path in SOCKETS:
        path.unlink(missing_ok=True)


@contextmanager
def new_site(wheel: Path) -> Iterator[Site]:
    """Yield a site with a PostgreSQL server. Its folder is readable by nginx's workers, which are another user."""
    with tempfile.TemporaryDirectory(prefix="polls-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "postgres").mkdir()
        (folder / "site").mkdir()
        with running_postgres(folder / "postgres", {"fsync": "off"}) as server:
            yield extract_site(folder / "site", wheel, server)


def extract_site(folder: Path, wheel: Path, server: Server) -> Site:
    """Extract the wheel's files into `folder`, and return the site."""
    with zipfile.ZipFile(wheel) as inside:
        inside.extractall(folder / "wheel")
    assets = folder / "wheel/polls/assets"
    shutil.copytree(assets / "config", folder / "config")
    (folder / "static").symlink_to(assets / "static")
    (folder / "var").mkdir()
    connection = {f"PG{name.upper()}": str(value) for name, value in server.address.items()}
    return Site(folder, server, os.environ | connection | {"PATH": PATH})


@contextmanager
def running(site: Site, *argv: str | Path, environ: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """Run a program in the folder of the site until the end of the `with`."""
    with (site.folder / "var" / f"{Path(argv[0]).name}.out.log").open("a") as log:
        process = subprocess.Popen(
            argv, cwd=site.folder, env=site.environ | dict(environ or {}), stdout=log, stderr=log, text=True
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(2 * TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


@contextmanager
def nginx(site: Site) -> Iterator[subprocess.Popen[str]]:
    """Run nginx with the configuration in the wheel."""
    argv = ["nginx", "-p", f"{site.folder}/", "-c", "config/nginx.conf"]
    with running(site, *argv, "-g", "daemon off;") as process:
        assert eventually(lambda: process.poll() is not None or _responds(site)), site.logs()
        assert process.poll() is None, site.logs()
        yield process


def _responds(site: Site) -> bool:
    try:
        return site.get("/static/css/public.css").status == 200
    except OSError:
        return False


@contextmanager
def supervisord(site: Site) -> Iterator[subprocess.Popen[str]]:
    """Run supervisord with the configuration in the wheel, and its four processes of polls."""
    with running(site, PROGRAMS / "supervisord", "--nodaemon", "-c", "config/supervisord.conf") as process:
        assert eventually(lambda: all(map(serves, SOCKETS))), site.logs()
        yield process


@contextmanager
def gunicorn(site: Site, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Run gunicorn with the configuration in the wheel, and its four workers."""
    environ = {"POLLS_CONFIG": "config/production.yaml"}
    argv = [PROGRAMS / "gunicorn", "polls.app:application", "-c", "config/gunicorn.conf.py", *options]
    with running(site, *argv, environ=environ) as process:
        assert eventually(lambda: site.listeners() == 4 and all(map(serves, SOCKETS))), site.logs()
        yield process


def serves(path: Path) -> bool:
    """Return whether polls is ready on this socket."""
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(TIMEOUT)
            client.connect(str(path))
            client.sendall(b"GET /readyz HTTP/1.1\r\nHost: polls\r\nConnection: close\r\n\r\n")
            return client.recv(100).startswith(b"HTTP/1.1 200 ")
    except OSError:
        return False


def children(process: subprocess.Popen[str]) -> set[int]:
    """Return the ids of the process's direct children."""
    text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return set(map(int, text.split()))


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


@contextmanager
def nginx_in_front_of(url: str, folder: Path, *others: str) -> Iterator[str]:
    """Run nginx with the shipped configuration in front of processes; yield nginx's URL.

    `url` and `others` are `http://...` or, for a socket, `unix:/...`; there may be four.
    """
    servers = [urlsplit(each).netloc or each for each in (url, *others)]
    port = free_port()
    (folder / "config").mkdir(parents=True)
    (folder / "var").mkdir()
    (folder / "static").symlink_to(paths.STATIC)
    text = (paths.CONFIG / "nginx.conf").read_text()
    for number in range(1, 5):
        text = text.replace(f"unix:/tmp/example_{number}.sock", servers[number % len(servers)])
    (folder / "config/nginx.conf").write_text(text.replace(f"listen 127.0.0.1:{PORT}", f"listen 127.0.0.1:{port}"))
    argv = ["nginx", "-p", f"{folder}/", "-c", "config/nginx.conf", "-g", "daemon off;"]
    if os.geteuid() == 0:
        argv[-1] += " user root;"  # other users can't read our temporary folder
    with subprocess.Popen(argv, env=os.environ | {"PATH": PATH}) as process:
        try:
            assert eventually(lambda: process.poll() is not None or (folder / "var/nginx.pid").exists())
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
