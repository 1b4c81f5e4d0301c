"""The private PostgreSQL server: started or joined by each process that uses it, stopped by the last one.

Two lock files coordinate these processes. `users` is locked shared for as long as a process uses the server; the kernel
releases it when that process dies, so a process that can lock it exclusively is the last user. `startup` is locked
exclusively while the server is started or stopped.
"""

import fcntl
import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import IO

import psycopg2
from psycopg2.sql import SQL, Identifier

from polls.config.settings import Postgres
from polls.storage.postgres.connect import UnusableDatabase, connect, query
from polls.storage.postgres.embedded.data_folder import ROLE, initialize, is_initialized, open_lock_file
from polls.storage.postgres.embedded.server import PORT, START_TIMEOUT, STOP_TIMEOUT, PrivateServer, wait_until
from polls.storage.postgres.primary import database_name

STARTUP_LOCK_TIMEOUT = START_TIMEOUT + 2 * STOP_TIMEOUT  # one start, or one stop, in another process

_CHECK_INTERVAL = 0.25  # seconds between two checks of a running server
_RETRY_INTERVAL = 2  # seconds after a restart that failed

_DATABASES = "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres' ORDER BY datname"

logger = logging.getLogger(__name__)


@contextmanager
def running(postgres: Postgres, *, create: bool = True) -> Iterator[Postgres]:
    """Run the private server and yield `postgres` with its address; unchanged if the settings name a server.

    Raises UnusableDatabase if the server can't be started, and, without `create`, if it or the database doesn't exist.
    """
    if postgres.embedded is None:
        yield postgres
        return
    if not create and is_new(postgres):
        raise UnusableDatabase(f"there is no private PostgreSQL in {postgres.embedded} yet. `polls` creates it")
    server = PrivateServer(postgres.embedded)
    with in_use(server):
        private = replace(postgres, host=str(server.socket_folder), port=PORT, user=ROLE)
        _create_database(private) if create else _check_database(private)
        yield private


def is_new(postgres: Postgres) -> bool:
    """Return whether the settings name a private server that was never started. Raises UnusableDatabase."""
    return postgres.embedded is not None and not is_initialized(postgres.embedded)


def _check_database(postgres: Postgres) -> None:
    with connect(replace(postgres, database="postgres")) as connection:
        names = [name for (name,) in query(connection, _DATABASES)]
    if database_name(postgres) not in names:
        raise UnusableDatabase(
            f"the private PostgreSQL has no database {database_name(postgres)}, but {', '.join(names) or 'none yet'}. "
            "Check postgres.database and $PGDATABASE; `polls` creates the one that they name"
        )


def _create_database(postgres: Postgres) -> None:
    with connect(replace(postgres, database="postgres")) as connection:
        connection.autocommit = True
        # Another process may create it at the same time; PostgreSQL reports that with either error.
        exists = suppress(psycopg2.errors.DuplicateDatabase, psycopg2.errors.UniqueViolation)
        with connection.cursor() as cursor, exists:
            cursor.execute("SELECT FROM pg_database WHERE datname = %s", (database_name(postgres),))
            if cursor.rowcount == 0:
                cursor.execute(SQL("CREATE DATABASE {}").format(Identifier(database_name(postgres))))


@contextmanager
def in_use(server: PrivateServer) -> Iterator[None]:
    """Start or join the server, and stop it at the end unless another process uses it. Raises UnusableDatabase."""
    with ExitStack() as stack:
        try:
            is_initialized(server.folder)  # refuses other folders before anything is written beside them
            server.folder.parent.mkdir(parents=True, exist_ok=True)
            users = stack.enter_context(open_lock_file(server.folder, "users"))
            startup = stack.enter_context(open_lock_file(server.folder, "startup"))
        except OSError as error:
            raise UnusableDatabase(f"can't write {error.filename}: {error.strerror}") from error
        stopping = threading.Event()
        supervisor = threading.Thread(target=_supervise, args=[server, startup, stopping], daemon=True)
        with startup_lock(startup):
            # From here on, also when the start is interrupted: the server may be starting.
            stack.callback(_release, server, users, startup, supervisor, stopping)
            fcntl.flock(users, fcntl.LOCK_SH)
            if not is_initialized(server.folder):
                initialize(server.folder)
            server.ensure_running(stopping)
        supervisor.start()
        yield


def _supervise(server: PrivateServer, startup: IO[bytes], stopping: threading.Event) -> None:
    """Restart the server whenever it has ended, until it is stopped; a restart that fails is repeated."""
    while not stopping.wait(_CHECK_INTERVAL):
        try:
            if server.pid is None:
                logger.warning("the private PostgreSQL has ended; restarting it")
                with startup_lock(startup):
                    server.ensure_running(stopping)
        except Exception as error:  # noqa: BLE001
            # Any error may be temporary: a full disk, too many open files, a missing folder.
            logger.error("can't restart the private PostgreSQL; trying again: %s", error)  # noqa: TRY400
            stopping.wait(_RETRY_INTERVAL)


def _release(
    server: PrivateServer,
    users: IO[bytes],
    startup: IO[bytes],
    supervisor: threading.Thread,
    stopping: threading.Event,
) -> None:
    with ExitStack() as handlers:
        # A second Ctrl-C must not interrupt the clean-up and leave the server running.
        for number in (signal.SIGINT, signal.SIGTERM):
            handlers.callback(signal.signal, number, signal.signal(number, signal.SIG_IGN))
        stopping.set()
        if supervisor.is_alive():
            supervisor.join()
        with startup_lock(startup):
            if _try_lock(users):
                server.stop()
            else:
                server.leave_running()


@contextmanager
def startup_lock(file: IO[bytes], timeout: float = STARTUP_LOCK_TIMEOUT) -> Iterator[None]:
    """Hold the lock on starting and stopping the server. Raises UnusableDatabase after `timeout` seconds."""
    if not wait_until(lambda: _try_lock(file), timeout):
        raise UnusableDatabase(
            f"another process has been starting or stopping the private PostgreSQL for {timeout:g} seconds; "
            f"find the one that has locked {file.name}, and end it"
        )
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def _try_lock(file: IO[bytes]) -> bool:
    """Lock `file` exclusively and return whether that succeeded; it fails while another process holds it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
