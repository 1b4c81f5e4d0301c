"""The private PostgreSQL server: started or joined by each process that uses it, stopped by the last one.

The locks that coordinate these processes are described in `locks`.
"""

import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from polls.storage.postgres.connect import UnusableDatabase
from polls.storage.postgres.embedded.binaries import binaries_for, unprivileged_prefix
from polls.storage.postgres.embedded.data_folder import check_data_folder, initialize, is_initialized
from polls.storage.postgres.embedded.locks import (
    START_TIMEOUT,
    STOP_TIMEOUT,
    open_lock_file,
    share_lock,
    startup_lock,
    try_lock,
)
from polls.storage.postgres.embedded.paths import (
    PORT,
    create_private_folder,
    default_socket_folder,
    private_opener,
    resolved,
    sibling,
)
from polls.storage.postgres.embedded.postmaster import (
    accepts_connections,
    current_socket_folder,
    remove_stale_pid_file,
    running_pid,
    works_in,
)
from polls.storage.postgres.embedded.supervisor import supervise

logger = logging.getLogger(__name__)

_CHECK_INTERVAL = 0.02  # seconds between two checks of a server that starts or stops
_RESTART_INTERVAL = 0.2  # seconds after a start that failed


class PrivateServer:
    """A PostgreSQL server on the data folder `folder`, reached by a socket that only this user can open.

    `settings` are server settings ({"fsync": "off"}), for tests that may lose their data.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self.folder = resolved(folder)
        self._settings = dict(settings or {})
        self._process: subprocess.Popen[bytes] | None = None  # set if this process started the server
        self._log_offset = 0  # bytes in the log before the last start
        self._stopping = threading.Event()

    @property
    def socket_folder(self) -> Path:
        """Return the folder of the server's socket."""
        return current_socket_folder(self.folder)

    @property
    def pid(self) -> int | None:
        """Return the running server's process id, or None."""
        return running_pid(self.folder)

    @property
    def is_ready(self) -> bool:
        """Return whether the server accepts connections."""
        return accepts_connections(self.folder)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Run the server, started or joined, and stop it at the end unless another process uses it."""
        check_data_folder(self.folder)
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            lock_file = open_lock_file(self.folder, "users")
        except OSError as error:
            raise UnusableDatabase(f"can't write {error.filename}: {error.strerror}") from error
        with lock_file:
            self._stopping.clear()
            supervisor = threading.Thread(
                target=supervise,
                args=[self._is_alive, self._restart, self._stopping],
                name="PostgreSQL supervisor",
                daemon=True,
            )
            held_startup_lock = False
            try:
                with startup_lock(self.folder):
                    held_startup_lock = True
                    share_lock(lock_file)
                    if not is_initialized(self.folder):
                        initialize(self.folder)
                    self._ensure_running()
                supervisor.start()
                yield
            finally:
                # Also when the start was interrupted: the server may be starting.
                with _signals_ignored():
                    self._stopping.set()
                    if supervisor.is_alive():
                        supervisor.join()
                    if held_startup_lock:
                        self._release(lock_file)

    def _ensure_running(self) -> None:
        """Join the server that runs in the folder, or start one. Requires the startup lock."""
        deadline = time.monotonic() + START_TIMEOUT
        while not (self.is_ready or self._stopping.is_set()):
            if self._process is not None and self._process.poll() is not None:
                self._process = None
                if time.monotonic() > deadline or not _is_temporary(self._last_error()):
                    raise UnusableDatabase(
                        f"the private PostgreSQL did not start: {self._last_error()} "
                        f"(more in {sibling(self.folder, '.log')})"
                    )
                time.sleep(_RESTART_INTERVAL)
            if time.monotonic() > deadline:
                raise UnusableDatabase(f"the private PostgreSQL is not ready after {START_TIMEOUT} seconds")
            if self._process is None and self.pid is None:
                remove_stale_pid_file(self.folder)
                self._process = self._start()
            time.sleep(_CHECK_INTERVAL)

    def _start(self) -> "subprocess.Popen[bytes]":
        socket_folder = default_socket_folder(self.folder)
        settings = {
            "listen_addresses": "",
            "port": str(PORT),
            "unix_socket_directories": str(socket_folder),
            "unix_socket_permissions": "0700",
            # Cancel the statement of a client that has disconnected.
            "client_connection_check_interval": "2s",
            **self._settings,
        }
        create_private_folder(socket_folder)
        with open(sibling(self.folder, ".log"), "ab", opener=private_opener) as log:
            self._log_offset = log.tell()
            # A session of its own: Ctrl-C in our terminal must not stop it before our last statement.
            return subprocess.Popen(
                [
                    *unprivileged_prefix(),
                    binaries_for(self.folder) / "postgres",
                    "-D",
                    self.folder,
                    *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _last_error(self) -> str:
        """Return the last error that the server has logged since its last start."""
        with sibling(self.folder, ".log").open("rb") as log:
            log.seek(self._log_offset)
            lines = log.read().decode(errors="replace").splitlines()
        errors = [line for line in lines if "FATAL" in line or "rror" in line] or lines
        return errors[-1] if errors else "its log is empty"

    def _is_alive(self) -> bool:
        """Return whether the server runs: our child process, or the process that postmaster.pid names.

        A child counts even if its folder was removed.
        """
        is_child_alive = self._process is not None and self._process.poll() is None
        return is_child_alive or self.pid is not None

    def _restart(self) -> None:
        with startup_lock(self.folder):
            self._process = None
            self._ensure_running()

    def _release(self, lock_file: IO[bytes]) -> None:
        """Stop the server unless another process uses it."""
        try:
            with startup_lock(self.folder):
                if try_lock(lock_file):
                    self._stop()
                elif self._process is not None:
                    # The last user stops it. Without a return code, Popen would warn that it still runs.
                    self._process.returncode = 0
        except FileNotFoundError:
            # The folder was removed while in use. No other process can find this server any more.
            self._stop()

    def _stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            pid: int | None = self._process.pid  # it may not have written postmaster.pid yet
        else:
            pid = self.pid
        if pid is not None and not (self._terminate(pid, signal.SIGINT) or self._terminate(pid, signal.SIGQUIT)):
            logger.error("the private PostgreSQL (process %d) does not stop", pid)
            return
        self._process = None
        with suppress(OSError):
            default_socket_folder(self.folder).rmdir()

    def _terminate(self, pid: int, signum: signal.Signals) -> bool:
        """Send SIGINT (fast shutdown) or SIGQUIT (immediate), and return whether it ended within STOP_TIMEOUT."""
        with suppress(ProcessLookupError):
            os.kill(pid, signum)
        deadline = time.monotonic() + STOP_TIMEOUT
        while self._is_running(pid):
            if time.monotonic() > deadline:
                return False
            time.sleep(_CHECK_INTERVAL)
        return True

    def _is_running(self, pid: int) -> bool:
        if self._process is not None and self._process.pid == pid:
            return self._process.poll() is None
        return works_in(pid, self.folder)


@contextmanager
def _signals_ignored() -> Iterator[None]:
    """Ignore SIGINT and SIGTERM: a second Ctrl-C must not interrupt the clean-up and leave the server running."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _is_temporary(error: str) -> bool:
    """Return whether the start failed because a server that was just killed still holds a resource."""
    return "lock file" in error or "shared memory" in error
