"""A whole site in a folder, as README lays it out: what the wheel ships, with the real programs running on it."""

import http.client
import os
import re
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

PORT, TLS_PORT = 8000, 8443  # those in nginx.conf and nginx-tls.conf
SOCKETS = [Path(f"/tmp/example_{number}.sock") for number in range(1, 5)]
PROGRAMS = Path(sys.executable).parent
PATH = f"{PROGRAMS}:{os.environ['PATH']}:/usr/sbin"

_UNTIL_FREE = 900  # seconds that another run of the tests, which has the ports and the sockets, is waited for


@dataclass(frozen=True, slots=True)
class Answer:
    """What a visitor got."""

    status: int
    headers: Message
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class Site:
    """A folder with config/, static/ and var/, and the database behind it."""

    folder: Path
    server: Server
    environ: dict[str, str] = field(default_factory=dict)

    url = f"http://127.0.0.1:{PORT}"

    def ask(self, text: str, *choices: str) -> int:
        """Put a question, and return the id of the poll."""
        ((poll,),) = self.server.execute(
            f"INSERT INTO question (question_text, pub_date) VALUES ('{text}', now() - interval '1 hour') RETURNING id"
        )
        for choice in choices:
            self.server.execute(f"INSERT INTO choice (question_id, choice_text) VALUES ({poll}, '{choice}')")
        return poll  # type: ignore[return-value]

    def choices(self, poll: int) -> list[int]:
        """The ids of a poll's choices, in their order."""
        found = self.server.execute(f"SELECT id FROM choice WHERE question_id = {poll} ORDER BY id")
        return [number for (number,) in found]  # type: ignore[misc]

    def request(
        self,
        method: str,
        path: str,
        body: str | bytes | None = None,
        *,
        source: str = "127.0.0.1",
        over: http.client.HTTPConnection | None = None,
        **headers: str,
    ) -> Answer:
        """Ask nginx as a program does, without cookies or redirects; `accept_language="zh"` is a header."""
        asked = over or http.client.HTTPConnection("127.0.0.1", PORT, timeout=30, source_address=(source, 0))
        names = {name.replace("_", "-").title(): value for name, value in headers.items()}
        if method == "POST":
            names.setdefault("Content-Type", "application/x-www-form-urlencoded")
        asked.request(method, path, body, names)
        response = asked.getresponse()
        answer = Answer(response.status, response.headers, response.read())
        if over is None:
            asked.close()
        return answer

    def get(self, path: str, /, **headers: str) -> Answer:
        return self.request("GET", path, **headers)

    def polls(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of polls with the configuration of the site."""
        return command(self.folder, "--config=config/production.yaml", *arguments, **self.environ)

    def expect_exact(self, poll: int, known: Crowd, *strangers: Crowd) -> None:
        """Nothing that was acknowledged is missing, and nothing was counted twice."""
        done = self.polls("verify")
        assert done.returncode == 0, done.stdout + done.stderr
        counts = f"SELECT marks[1], count(*) FROM ballot WHERE question_id = {poll} GROUP BY 1"
        ballots: dict[int, int] = dict(self.server.execute(counts))  # type: ignore[arg-type]
        unknown = sum(crowd.gave_up for crowd in strangers)
        for choice in known.counted:
            counted = sum(crowd.counted[choice] for crowd in (known, *strangers))
            assert counted <= ballots[choice] <= counted + unknown

    def listeners(self) -> int:
        """How many processes hear of changes: gunicorn's workers share their sockets, and one may answer for all."""
        heartbeat = "query LIKE 'SELECT clock_timestamp()%'"
        ((count,),) = self.server.execute(f"SELECT count(*) FROM pg_stat_activity WHERE {heartbeat}")
        return count  # type: ignore[return-value]

    def supervisorctl(self, *arguments: str) -> str:
        """Tell supervisord something, and return what it answers."""
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
        """What all programs have written."""
        return "\n".join(f"== {file.name}\n{file.read_text()}" for file in sorted((self.folder / "var").glob("*.log")))


@contextmanager
def alone() -> Iterator[None]:
    """Nobody else on this machine has the ports and the sockets meanwhile: their names are fixed."""
    with socket.socket(socket.AF_UNIX) as lock:
        deadline = monotonic() + _UNTIL_FREE
        while True:
            try:
                lock.bind("\0tests of polls: nginx")  # an abstract name: it is gone with whoever has it
                break
            except OSError:
                assert monotonic() < deadline, "somebody else has been testing with nginx all the time"
                sleep(0.5)
        yield
    for path in SOCKETS:
        path.unlink(missing_ok=True)


@contextmanager
def laid_out(wheel: Path) -> Iterator[Site]:
    """A site over a PostgreSQL. nginx's workers are another user than we, and read what is in it."""
    with tempfile.TemporaryDirectory(prefix="polls-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "postgres").mkdir()
        (folder / "site").mkdir()
        with running_postgres(folder / "postgres", {"fsync": "off"}) as server:
            yield lay_out(folder / "site", wheel, server)


def lay_out(folder: Path, wheel: Path, server: Server) -> Site:
    """Put what nginx and the others need into `folder`: the wheel's own files."""
    with zipfile.ZipFile(wheel) as inside:
        inside.extractall(folder / "wheel")
    assets = folder / "wheel/polls/assets"
    shutil.copytree(assets / "config", folder / "config")
    (folder / "static").symlink_to(assets / "static")
    (folder / "var").mkdir()
    reached = {f"PG{name.upper()}": str(value) for name, value in server.address.items()}
    return Site(folder, server, os.environ | reached | {"PATH": PATH})


@contextmanager
def running(
    site: Site, *words: str | Path, environ: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A program that runs in the folder of the site, in the foreground, until the end."""
    with (site.folder / "var" / f"{Path(words[0]).name}.out.log").open("a") as log:
        process = subprocess.Popen(
            words, cwd=site.folder, env=site.environ | dict(environ or {}), stdout=log, stderr=log, text=True
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
    """nginx with the configuration that the wheel ships."""
    words = ["nginx", "-p", f"{site.folder}/", "-c", "config/nginx.conf"]
    with running(site, *words, "-g", "daemon off;") as process:
        assert eventually(lambda: process.poll() is not None or _answers(site)), site.logs()
        assert process.poll() is None, site.logs()
        yield process


@contextmanager
def supervisord(site: Site) -> Iterator[subprocess.Popen[str]]:
    """supervisord with the configuration that the wheel ships, and its four processes of polls."""
    with running(site, PROGRAMS / "supervisord", "--nodaemon", "-c", "config/supervisord.conf") as process:
        assert eventually(lambda: all(map(serves, SOCKETS))), site.logs()
        yield process


@contextmanager
def gunicorn(site: Site, *options: str) -> Iterator[subprocess.Popen[str]]:
    """gunicorn with the configuration that the wheel ships, and its four workers."""
    environ = {"POLLS_CONFIG": "config/production.yaml"}
    words = [PROGRAMS / "gunicorn", "polls.app:application", "-c", "config/gunicorn.conf.py", *options]
    with running(site, *words, environ=environ) as process:
        assert eventually(lambda: site.listeners() == 4 and all(map(serves, SOCKETS))), site.logs()
        yield process


def serves(path: Path) -> bool:
    """Whether polls is ready on this socket."""
    try:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(TIMEOUT)
            asking.connect(str(path))
            asking.sendall(b"GET /readyz HTTP/1.1\r\nHost: polls\r\nConnection: close\r\n\r\n")
            return asking.recv(100).startswith(b"HTTP/1.1 200 ")
    except OSError:
        return False


def children(process: subprocess.Popen[str]) -> set[int]:
    """The processes that this one has started itself."""
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return set(map(int, listed.split()))


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def _answers(site: Site) -> bool:
    try:
        return site.get("/static/css/base.css").status == 200
    except OSError:
        return False


@contextmanager
def nginx_before(url: str, folder: Path) -> Iterator[str]:
    """nginx with the configuration that we ship, led to one process at `url`; yields its own address."""
    port = free_port()
    (folder / "config").mkdir(parents=True)
    (folder / "var").mkdir()
    (folder / "static").symlink_to(paths.STATIC)
    text = re.sub(r"unix:/tmp/example_\d\.sock", urlsplit(url).netloc, (paths.CONFIG / "nginx.conf").read_text())
    (folder / "config/nginx.conf").write_text(text.replace(f"listen 127.0.0.1:{PORT}", f"listen 127.0.0.1:{port}"))
    words = ["nginx", "-p", f"{folder}/", "-c", "config/nginx.conf", "-g", "daemon off;"]
    if os.geteuid() == 0:
        words[-1] += " user root;"  # who may read below a folder of ours
    with subprocess.Popen(words, env=os.environ | {"PATH": PATH}) as process:
        try:
            assert eventually(lambda: process.poll() is not None or (folder / "var/nginx.pid").exists())
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
