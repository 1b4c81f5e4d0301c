"""Databases in which polls would fail or lie: doctor, the start, `migrate` and `restore` say what to do."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from polls.config.settings import Postgres
from polls.storage.checks.findings import Verdict
from polls.storage.checks.runner import run_checks
from polls.storage.postgres.connect import connect
from polls.storage.postgres.embedded.binaries import unprivileged_prefix
from tests.support.processes import TIMEOUT, command, eventually, free_port, write
from tests.support.servers import Server, running

POOLER = next((path for path in ("/usr/sbin/pgbouncer", "/usr/bin/pgbouncer") if os.access(path, os.X_OK)), "")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("unfit"), version=min) as server:
        yield server


@contextmanager
def another_database(server: Server, options: str = "", *statements: str) -> Iterator[dict[str, object]]:
    """Create a database, and yield the settings that name it."""
    server.execute(f"CREATE DATABASE other {options}")
    try:
        with server.connect("other") as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
        yield server.address | {"database": "other"}
    finally:
        server.execute("DROP DATABASE other WITH (FORCE)")


@contextmanager
def pooler(server: Server, folder: Path) -> Iterator[dict[str, object]]:
    """Run PgBouncer in transaction mode before the server, and yield the settings that lead through it."""
    port, user = free_port(), server.address["user"]
    (folder / "users.txt").write_text(f'"{user}" ""\n')
    (folder / "pgbouncer.ini").write_text(
        f"""
[databases]
* = host=127.0.0.1 port={server.address["port"]}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users.txt
pool_mode = transaction
ignore_startup_parameters = options
"""
    )
    command = [*unprivileged_prefix(), POOLER, folder / "pgbouncer.ini"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            address = server.address | {"port": port, "database": "polls"}
            assert eventually(lambda: accepts(address))
            yield address
        finally:
            process.terminate()
            process.wait(TIMEOUT)


def accepts(address: dict[str, object]) -> bool:
    try:
        with connect(Postgres(**address)):  # type: ignore[arg-type]
            return True
    except Exception:  # noqa: BLE001
        return False


def faults_of(address: dict[str, object]) -> list[str]:
    postgres = Postgres(**address)  # type: ignore[arg-type]
    with connect(postgres) as connection:
        return [str(finding)[6:] for finding in run_checks(connection, postgres) if finding.verdict is Verdict.FAULT]


def assert_refused(folder: Path, address: dict[str, object], subject: str) -> str:
    """Assert that doctor has a fault about `subject`, and that all that would change the database refuse with it."""
    settings = write(folder, {"postgres": address})
    faults = dict(fault.split(": ", 1) for fault in faults_of(address))
    assert set(faults) - {"log"} == {subject}  # a pooler gives the settings of the log to another session
    sentence = faults[subject]
    for arguments in (["--port=0"], ["migrate"], ["restore", "x.dump"]):
        done = command(folder, *arguments, f"--config={settings}")
        assert (done.returncode, done.stderr) == (1, f"polls: {sentence}\n"), arguments
    return sentence


@pytest.mark.skipif(not POOLER, reason="PgBouncer is not installed (on Debian: apt-get install pgbouncer)")
def test_a_pooler_that_shares_sessions_is_refused(server: Server, tmp_path: Path) -> None:
    with pooler(server, tmp_path) as address:
        sentence = assert_refused(tmp_path, address, "session")

    assert sentence.endswith("Connect to PostgreSQL directly: set postgres.host and postgres.port")


def test_another_encoding_is_refused(server: Server, tmp_path: Path) -> None:
    with another_database(server, "ENCODING 'LATIN1' TEMPLATE template0") as address:
        sentence = assert_refused(tmp_path, address, "encoding")

    assert sentence.startswith("the encoding of the database other is LATIN1, which can't store every text. Create")


@pytest.mark.parametrize(
    ("statement", "table"),
    [
        ("CREATE TABLE account (number integer)", "account"),
        ("CREATE VIEW session AS SELECT 1", "session"),
        ("CREATE TABLE migration (version integer)", "migration"),
    ],
)
def test_tables_of_another_program_are_refused(server: Server, tmp_path: Path, statement: str, table: str) -> None:
    with another_database(server, "", statement) as address:
        sentence = assert_refused(tmp_path, address, "schema")

    assert sentence == (
        f"tables of these names belong to another program: {table}. "
        "Give polls a database of its own: createdb NAME; and set postgres.database"
    )


def test_tables_of_another_program_in_another_schema_are_no_problem(server: Server) -> None:
    create = "CREATE SCHEMA theirs; CREATE TABLE theirs.account (number integer)"
    with another_database(server, "", create) as address:
        assert faults_of(address) == []


def test_doctor_verify_and_backup_create_nothing(tmp_path: Path) -> None:
    config: dict[str, object] = {"embedded": "data", "database": "pols"}
    mistyped = write(tmp_path, {"postgres": config}).rename(tmp_path / "mistyped.yaml")
    settings = write(tmp_path, {"postgres": config | {"database": "polls"}})
    commands = (["doctor"], ["verify"], ["backup", "x.dump"])

    for arguments in commands:
        done = command(tmp_path, *arguments, f"--config={settings}")
        assert "data" in done.stdout + done.stderr
        assert done.returncode == (0 if arguments == ["doctor"] else 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mistyped.yaml", "polls.yaml"]

    assert command(tmp_path, "migrate", f"--config={settings}").returncode == 0
    for arguments in commands:
        done = command(tmp_path, *arguments, f"--config={mistyped}")
        assert done.returncode == 1
        assert "the private PostgreSQL has no database pols, but polls. Check postgres.database" in (
            done.stdout + done.stderr
        )
    listed = command(tmp_path, "psql", f"--config={settings}", "--", "-Atc", "SELECT datname FROM pg_database")
    assert "pols" not in listed.stdout.split()
    assert command(tmp_path, "doctor", f"--config={settings}").returncode == 0
