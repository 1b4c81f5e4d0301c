"""The process of a private server: its state, start and stop."""

import hashlib
import logging
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from polls.storage.postgres.connect import UnusableDatabase
from polls.storage.postgres.embedded.binaries import binaries_for, unprivileged_prefix
from polls.storage.postgres.embedded.data_folder import create_private_folder, private_opener

PORT = 5432  # only part of the socket's name: the server doesn't listen on the network
START_TIMEOUT = 30  # seconds; crash recovery after a kill may take some
STOP_TIMEOUT = 10  # seconds for a fast shutdown, and as many for an immediate one

_CHECK_INTERVAL = 0.02  # seconds between two checks of a condition
_TEMPORARY = ("lock file", "shared memory")  # what a server that was just killed may still hold
_MAX_SOCKET_PATH = 103  # bytes, on macOS; Linux allows 107

logger = logging.getLogger(__name__)


class PrivateServer:
    """A PostgreSQL server on a data folder, whichever process started it. Hold the startup lock to start or stop it."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(os.path.realpath(folder))  # one folder must have one pair of lock files
        self._log = Path(f"{self.folder}.log")
        self._log_offset = 0  # bytes in the log before the last start
        self._child: subprocess.Popen[bytes] | None = None  # set if this process started the server

    @property
    def pid(self) -> int | None:
        """Return the running server's process id, or None."""
        # Our child counts before it has written postmaster.pid, and after the folder was removed.
        if self._child is not None and self._child.poll() is None:
            return self._child.pid
        pid = self._pid_file()[0]
        return int(pid) if pid.isdigit() and _runs_in(int(pid), self.folder) else None

    @property
    def is_ready(self) -> bool:
        """Return whether the server accepts connections."""
        if self.pid is None or self._pid_file()[7].strip() != "ready":
            return False
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(f"{self.socket_folder}/.s.PGSQL.{PORT}") == 0

    @property
    def socket_folder(self) -> Path:
        """Return the folder of the server's socket, which may have been chosen by a process with another TMPDIR."""
        line = self._pid_file()[4]
        return Path(line) if line else _default_socket_folder(self.folder)

    def ensure_running(self, stopping: threading.Event) -> None:
        """Start the server if none runs, and wait until it is ready or `stopping` is set. Raises UnusableDatabase."""
        deadline = time.monotonic() + START_TIMEOUT
        started = False
        while not (self.is_ready or stopping.is_set()):
            if self.pid is None:
                if started and not any(cause in self._last_error() for cause in _TEMPORARY):
                    raise UnusableDatabase(
                        f"the private PostgreSQL did not start: {self._last_error()} (more in {self._log})"
                    )
                self._start()
                started = True
            if time.monotonic() > deadline:
                raise UnusableDatabase(f"the private PostgreSQL is not ready after {START_TIMEOUT} s (see {self._log})")
            time.sleep(_CHECK_INTERVAL)

    def stop(self) -> None:
        """Stop the server, and remove its socket's folder."""
        socket_folder = self.socket_folder
        for number in (signal.SIGINT, signal.SIGQUIT):  # a fast shutdown, and an immediate one
            if (pid := self.pid) is not None:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
                wait_until(lambda: self.pid is None, STOP_TIMEOUT)
        if (pid := self.pid) is not None:
            logger.error("the private PostgreSQL (process %d) does not stop", pid)
        with suppress(OSError):
            socket_folder.rmdir()

    def leave_running(self) -> None:
        """Leave the server to its other users; without a return code, Popen would warn that it still runs."""
        if self._child is not None:
            self._child.returncode = 0

    def _start(self) -> None:
        socket_folder = _default_socket_folder(self.folder)
        options = [
            "--listen_addresses=",
            f"--port={PORT}",
            f"--unix_socket_directories={socket_folder}",
            "--unix_socket_permissions=0700",
            "--client_connection_check_interval=2s",  # cancel the statement of a client that has disconnected
            "--log_min_error_statement=panic",  # no values of ballots, passwords and sessions in the log
            "--log_error_verbosity=terse",  # no rows that violate a constraint
        ]
        create_private_folder(socket_folder)
        # The pid file of a killed server, whose id another program has since a restart of the container, would prevent
        # the start. It stays if processes of that server still run, or if there is no /proc to find them.
        pids = [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]
        if pids and not any(_runs_in(pid, self.folder) for pid in pids):
            (self.folder / "postmaster.pid").unlink(missing_ok=True)
        with open(self._log, "ab", opener=private_opener) as log:
            self._log_offset = log.tell()
            # A session of its own: Ctrl-C in our terminal must not stop it before our last statement.
            self._child = subprocess.Popen(
                [*unprivileged_prefix(), binaries_for(self.folder) / "postgres", "-D", self.folder, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _last_error(self) -> str:
        """Return the last error that the server has logged since its last start."""
        with self._log.open("rb") as log:
            log.seek(self._log_offset)
            lines = log.read().decode(errors="replace").splitlines()
        errors = [line for line in lines if "FATAL" in line or "rror" in line]
        return (errors or lines or ["its log is empty"])[-1]

    def _pid_file(self) -> list[str]:
        # pid, data folder, start, port, socket folder, address, memory, status; "" for lines that don't exist yet
        lines: list[str] = []
        with suppress(FileNotFoundError):
            lines = (self.folder / "postmaster.pid").read_text().splitlines()
        return lines + [""] * (8 - len(lines))


def wait_until(condition: Callable[[], bool], timeout: float) -> bool:
    """Wait until `condition` is true, and return whether that was within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not (is_met := condition()) and time.monotonic() < deadline:
        time.sleep(_CHECK_INTERVAL)
    return is_met


def _default_socket_folder(folder: Path) -> Path:
    """Return a short path, in this user's name, for the socket of the server in `folder`: socket paths are limited."""
    name = f"polls-{os.getuid()}-{hashlib.sha256(bytes(folder)).hexdigest()[:12]}"
    path = Path(tempfile.gettempdir(), name)
    is_too_long = len(bytes(path / f".s.PGSQL.{PORT}.lock")) > _MAX_SOCKET_PATH
    return Path("/tmp", name) if is_too_long else path  # nosec B108 # its owner is checked before it is used


def _runs_in(pid: int, folder: Path) -> bool:
    """Return whether the process's working directory is `folder`, as PostgreSQL's is; a process id may be reused."""
    try:
        if not Path("/proc/self/cwd").exists():  # not Linux: the process id has to do
            os.kill(pid, 0)
            return True
        return Path(f"/proc/{pid}/cwd").samefile(folder)
    except OSError:
        return False
