"""PostgreSQL servers that a test starts and may stop, kill, freeze or promote."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import psycopg2

from polls.storage.postgres.connect import Connection
from polls.storage.postgres.embedded import available_binaries
from polls.storage.postgres.embedded.binaries import unprivileged_prefix
from tests.support.processes import TIMEOUT, eventually, free_port, processes_in

USER = "operator"

ChooseVersion = Callable[[Iterable[int]], int]


def installed_versions() -> dict[int, Path]:
    """Return the supported PostgreSQL versions on this machine: {major version: folder of programs}."""
    debian = {int(folder.parent.name): folder for folder in Path("/usr/lib/postgresql").glob("*/bin")}
    ours = {int(version): folder for version, folder in available_binaries().items()}
    return {version: folder for version, folder in (debian | ours).items() if version >= 15}


class Machine(Protocol):
    """A machine with an address of its own; `inside` is the command prefix that runs a program there."""

    @property
    def address(self) -> str: ...
    @property
    def inside(self) -> list[str]: ...


class Server:
    """A PostgreSQL server on 127.0.0.1, in a folder of its own, with a database called polls.

    `settings` are server settings; `version` is `min` or `max` of those on this machine; a `password` is required of
    clients. The server runs on `machine`, if given; it starts as a copy and a standby of `standby_of`, if given.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, str] | None = None,
        *,
        version: ChooseVersion = max,
        password: str | None = None,
        machine: Machine | None = None,
        standby_of: "Server | None" = None,
    ) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.log = folder / "postgresql.log"
        self.settings = dict(settings or {})
        versions = installed_versions()
        self.binaries = versions[version(versions)]  # folder of PostgreSQL's programs
        self._password = password
        self._machine = machine
        self._is_standby = standby_of is not None
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        if standby_of:
            self._copy_primary(standby_of)
        else:
            self._initialize()

    def _initialize(self) -> None:
        authentication = ["--auth=trust"]
        if self._password is not None:
            (self.folder / "password").write_text(self._password)
            authentication = ["--auth=scram-sha-256", f"--pwfile={self.folder / 'password'}"]
        subprocess.run(
            [
                *(*unprivileged_prefix(), self.binaries / "initdb", f"--pgdata={self.data}", f"--username={USER}"),
                *("--encoding=UTF8", "--locale=C", "--no-sync", *authentication),
            ],
            check=True,
            capture_output=True,
        )
        if self._machine:
            with (self.data / "pg_hba.conf").open("a") as pg_hba:
                pg_hba.write("host all all samenet trust\nhost replication all samenet trust\n")

    def _copy_primary(self, primary: "Server") -> None:
        connection = f"host={primary.address['host']} port={primary.address['port']} user={USER} connect_timeout=2"
        subprocess.run(
            [
                *(*self._inside, *unprivileged_prefix(), self.binaries / "pg_basebackup", f"--pgdata={self.data}"),
                *("--checkpoint=fast", "--no-sync", "--write-recovery-conf", f"--dbname={connection}"),
            ],
            check=True,
            capture_output=True,
        )

    @property
    def _inside(self) -> list[str]:
        return self._machine.inside if self._machine else []

    @property
    def address(self) -> dict[str, object]:
        """The settings with which polls connects to this server."""
        password = {} if self._password is None else {"password": self._password}
        host = self._machine.address if self._machine else "127.0.0.1"
        return {"host": host, "port": self._port, "user": USER, **password}

    @property
    def processes(self) -> list[int]:
        return processes_in(self.data)

    def start(self) -> None:
        """Start, or start again, and return when the server accepts connections."""
        settings = {
            "listen_addresses": str(self.address["host"]),
            "port": str(self._port),
            "unix_socket_directories": str(self.folder),
            **self.settings,
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._inside, *unprivileged_prefix(), self.binaries / "postgres", "-D", self.data, *options],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        assert eventually(self._accepts_connections), self.log.read_text()

    def stop(self) -> None:
        """Shut down in order, without waiting for clients."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Send SIGKILL to all processes."""
        for pid in self.processes:
            _send(pid, signal.SIGKILL)
        self._end(signal.SIGKILL)

    def promote(self) -> None:
        """Promote a standby, and return when it is the primary."""
        assert self.execute("SELECT pg_promote()") == [(True,)]
        self._is_standby = False

    def wait_for_standby(self) -> None:
        """Make commits wait for a synchronous standby from now on, and return when one is connected."""
        self.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.execute("SELECT pg_reload_conf()")
        assert eventually(lambda: self.execute("SELECT sync_state FROM pg_stat_replication") == [("sync",)])

    def stop_following(self) -> None:
        """Disconnect a standby from its primary without restarting either."""
        self.execute("ALTER SYSTEM SET primary_conninfo = ''")
        self.execute("SELECT pg_reload_conf()")
        assert eventually(lambda: self.execute("SELECT pid FROM pg_stat_wal_receiver") == [])

    def freeze(self) -> None:
        for pid in self.processes:
            _send(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        for pid in self.processes:
            _send(pid, signal.SIGCONT)

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @contextmanager
    def connect(self, database: str = "polls") -> Iterator[Connection]:
        """Open a connection in autocommit mode, through the socket: it works from any machine."""
        address = self.address | {"host": str(self.folder)}
        connection = psycopg2.connect(dbname=database, connect_timeout=5, **address)
        connection.autocommit = True
        try:
            yield connection
        finally:
            connection.close()

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def _accepts_connections(self) -> bool:
        assert self.is_running, self.log.read_text()
        try:
            with self.connect("postgres") as connection, connection.cursor() as cursor:
                cursor.execute("SELECT FROM pg_database WHERE datname = 'polls'")
                if cursor.rowcount == 0 and not self._is_standby:
                    cursor.execute("CREATE DATABASE polls")
        except psycopg2.OperationalError:
            return False
        return True

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            if self.is_running:
                self._process.send_signal(number)
            self._process.wait(TIMEOUT)
            self._process = None
        assert eventually(lambda: not self.processes)


@contextmanager
def running(
    folder: Path,
    settings: Mapping[str, str] | None = None,
    *,
    version: ChooseVersion = max,
    password: str | None = None,
    machine: Machine | None = None,
    standby_of: Server | None = None,
) -> Iterator[Server]:
    """Run a server until the end, and remove its data."""
    server = Server(folder, settings, version=version, password=password, machine=machine, standby_of=standby_of)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(server.data)


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
