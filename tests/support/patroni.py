"""Three hosts with etcd, Patroni and PostgreSQL in network namespaces, by config/patroni.yml."""

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import yaml

from polls import paths
from polls.storage.postgres.embedded.binaries import unprivileged_prefix
from tests.support.network import Machine
from tests.support.processes import TIMEOUT, eventually, processes_in
from tests.support.servers import installed_versions

_PROGRAMS = Path(sys.executable).parent
_FOLLOWERS = """
    SELECT current_setting('synchronous_standby_names'), coalesce(array_agg(sync_state), '{}')
    FROM pg_stat_replication WHERE state = 'streaming'
"""


class Host:
    """A machine with etcd, Patroni and its PostgreSQL; `others` are all machines that a lost host is cut off from.

    `dcs` replaces settings of the cluster, such as ttl.
    """

    def __init__(self, folder: Path, name: str, machine: Machine, dcs: Mapping[str, object]) -> None:
        folder.mkdir()
        self.name = name
        self.machine = machine
        self.folder = folder
        self.data = folder / "data"
        self.log = folder / "patroni.log"
        self.file = folder / "patroni.yml"
        self.file.write_text(yaml.safe_dump(self._settings(dcs)))
        self._etcd: subprocess.Popen[bytes] | None = None
        self._patroni: subprocess.Popen[bytes] | None = None

    def _settings(self, dcs: Mapping[str, object]) -> dict[str, Any]:
        """Return config/patroni.yml for a test: folders of its own, local connections for every user, no fsync."""
        text = (paths.CONFIG / "patroni.yml").read_text()
        text = text.replace("HOST_NAME", self.name).replace("HOST_ADDRESS", self.machine.address)
        settings: dict[str, Any] = yaml.safe_load(text)
        settings["bootstrap"]["dcs"] |= dcs
        settings["bootstrap"]["initdb"].append("no-sync")
        postgresql = settings["postgresql"]
        postgresql |= {"data_dir": str(self.data), "pgpass": str(self.folder / "pgpass")}
        postgresql["bin_dir"] = str(min(installed_versions().items())[1])
        postgresql["parameters"] |= {"unix_socket_directories": str(self.folder), "fsync": "off"}
        postgresql["pg_hba"][0] = "local all all trust"
        return settings

    def start_etcd(self, hosts: Sequence["Host"]) -> None:
        address = self.machine.address
        with (self.folder / "etcd.log").open("ab") as log:
            self._etcd = subprocess.Popen(
                [
                    *(*self.machine.inside, "etcd", f"--name={self.name}", f"--data-dir={self.folder / 'etcd'}"),
                    *(
                        f"--listen-peer-urls=http://{address}:2380",
                        f"--initial-advertise-peer-urls=http://{address}:2380",
                    ),
                    *(f"--listen-client-urls=http://{address}:2379", f"--advertise-client-urls=http://{address}:2379"),
                    "--initial-cluster="
                    + ",".join(f"{host.name}=http://{host.machine.address}:2380" for host in hosts),
                    "--pre-vote",  # in Debian's etcd 3.4 it isn't the default yet
                ],
                stdout=log,
                stderr=log,
            )

    def start_patroni(self) -> None:
        with self.log.open("ab") as log:
            self._patroni = subprocess.Popen(
                [*self.machine.inside, *unprivileged_prefix(), _PROGRAMS / "patroni", self.file],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def start(self, hosts: Sequence["Host"]) -> None:
        self.start_etcd(hosts)
        self.start_patroni()

    def kill_etcd(self) -> None:
        _kill(self._etcd)
        self._etcd = None

    def kill_patroni(self) -> None:
        _kill(self._patroni)
        self._patroni = None

    def freeze_patroni(self) -> None:
        assert self._patroni is not None
        self._patroni.send_signal(signal.SIGSTOP)

    def thaw_patroni(self) -> None:
        assert self._patroni is not None
        self._patroni.send_signal(signal.SIGCONT)

    def kill_postgres(self) -> None:
        for pid in processes_in(self.data):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def kill(self) -> None:
        """Kill everything that runs here."""
        self.kill_etcd()
        self.kill_patroni()
        self.kill_postgres()
        assert eventually(lambda: not processes_in(self.data))

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement through the socket, as the superuser: it works from any machine."""
        connection = psycopg2.connect(
            host=str(self.folder), user="postgres", dbname=database, connect_timeout=5, application_name="test"
        )
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def status(self) -> dict[str, Any]:
        """Return what Patroni's REST API tells of this host: its role, state and timeline; {} if it doesn't answer."""

        def request() -> dict[str, Any]:
            url = f"http://{self.machine.address}:8008/patroni"
            try:
                with urllib.request.urlopen(url, timeout=2) as answer:
                    return dict(json.load(answer))
            except (OSError, ValueError):
                return {}

        return dict(self.machine.call(request))

    @property
    def is_leader(self) -> bool:
        return self.status().get("role") in {"master", "primary"}

    def delete_leader_key(self) -> None:
        """Delete the leader's key in etcd, as README says for a leader that is known to be dead."""
        endpoint = f"--endpoints=http://{self.machine.address}:2379"
        arguments = [*self.machine.inside, "etcdctl", endpoint, "del", "/service/polls/leader"]

        def delete() -> bool:  # etcd itself may be electing a leader
            return subprocess.run(arguments, capture_output=True, timeout=TIMEOUT, check=False).stdout == b"1\n"

        assert eventually(delete)

    def ctl(self, *arguments: str) -> str:
        """Run patronictl."""
        done = subprocess.run(
            [*self.machine.inside, _PROGRAMS / "patronictl", "-c", self.file, *arguments],
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def _kill(process: subprocess.Popen[bytes] | None) -> None:
    if process is not None:
        process.kill()
        process.wait(TIMEOUT)


def leader(hosts: Sequence[Host]) -> Host:
    """Return the leader, as soon as there is exactly one."""
    found: list[Host] = []

    def is_found() -> bool:
        found[:] = [host for host in hosts if host.is_leader]
        return len(found) == 1

    assert eventually(is_found, 60), [host.status() for host in hosts]
    return found[0]


def is_whole(hosts: Sequence[Host]) -> bool:
    """Return whether all others follow the leader, one of them synchronously if commits wait for that.

    Patroni must know of that one, too: until then it drops the request of a switchover.
    """
    leaders = [host for host in hosts if host.is_leader]
    if len(leaders) != 1:
        return False
    try:
        ((names, states),) = leaders[0].execute(_FOLLOWERS)
    except psycopg2.Error:
        return False
    if len(states) != len(hosts) - 1:
        return False
    is_synchronous = any(state in {"sync", "quorum"} for state in states)
    return not names or (is_synchronous and any(host.status().get("sync_standby") for host in hosts))


@contextmanager
def cluster(folder: Path, machines: Sequence[Machine], **dcs: object) -> Iterator[list[Host]]:
    """Run Patroni on three machines, with a database called polls and a role of that name."""
    if shutil.which("etcd") is None or shutil.which("etcdctl") is None:
        pytest.skip("etcd is not installed (on Debian: apt-get install etcd-server etcd-client)")
    hosts = [
        Host(folder / f"db{number}", f"db{number}", machine, dcs) for number, machine in enumerate(machines, start=1)
    ]
    try:
        for host in hosts:
            host.start(hosts)
        assert eventually(lambda: is_whole(hosts), 60), hosts[0].log.read_text()
        first = leader(hosts)
        first.execute("CREATE ROLE polls LOGIN PASSWORD 'polls'")
        first.execute("CREATE DATABASE polls OWNER polls")
        yield hosts
    finally:
        for host in hosts:
            host.kill()
