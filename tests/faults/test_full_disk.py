"""A full disk during each kind of write: votes, sessions, and what admins save."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg2
import pytest

from tests.faults.conftest import Expect, Serve, readiness
from tests.faults.test_lost_database import RECOVERY_TIMEOUT, first_vote_after
from tests.support.admin import Admin, add_account
from tests.support.crowd import Crowd
from tests.support.healthz import healthy
from tests.support.processes import command, eventually
from tests.support.servers import Server, running


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[None]:
    """Mount a file system of this size, in memory, on `folder`."""
    try:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], check=True, capture_output=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def keep_full(ballast: Path, seconds: float) -> None:
    """Keep the disk full for some seconds, including space freed by others meanwhile."""
    deadline = time.monotonic() + seconds
    with ballast.open("wb", buffering=0) as file:
        while time.monotonic() < deadline:
            try:
                file.write(bytes(65536))
            except OSError:
                time.sleep(0.02)


def fill(ballast: Path) -> None:
    """Use up the space of a disk."""
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(65536))


class TestWithASmallDisk:
    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[Server]:
        folder = tmp_path / "disk"
        folder.mkdir()
        with small_disk(folder, 150), running(folder, {"min_wal_size": "32MB", "max_wal_size": "32MB"}) as server:
            yield server

    def test_voting_recovers_after_the_disk_was_full_for_four_seconds(
        self, serve: Serve, server: Server, expect_exact: Expect
    ) -> None:
        ballast = server.data.parent / "ballast"
        with serve() as polls, healthy(polls.url), Crowd([polls.url]) as crowd:
            time.sleep(1)
            started = time.monotonic()
            keep_full(ballast, seconds=4)
            ballast.unlink()
            if not eventually(lambda: server.is_running and bool(crowd.moments and crowd.moments[-1] > started + 4), 3):
                server.kill()
                server.start()
            repaired = time.monotonic()

            assert first_vote_after(crowd, repaired) < RECOVERY_TIMEOUT
            time.sleep(0.5)

        assert crowd.answers[503] > 0
        expect_exact(crowd)


# One row of each table that polls writes, as large as its own.
ROWS = {
    "session": "INSERT INTO session (token_hash, account_id) VALUES (sha256(uuid_send(gen_random_uuid())), 1)",
    "history": "INSERT INTO history (actor, subject, name, deed) VALUES ('admin:ada', 'poll:1', 'Tea?', 'changed')",
}


def fill_pages(server: Server, table: str) -> None:
    """Use up the free space in the pages that a table has, while the disk is full."""
    with server.connect() as connection, connection.cursor() as cursor, suppress(psycopg2.errors.DiskFull):
        while True:
            cursor.execute(ROWS[table])


class TestWithASmallTablespace:
    """A full disk without the log of transactions: PostgreSQL goes on, and refuses statements that need space."""

    @pytest.fixture
    def disk(self, tmp_path: Path) -> Iterator[Path]:
        folder = tmp_path / "disk"
        (folder / "tables").mkdir(parents=True)
        with small_disk(folder, 32):
            (folder / "tables").mkdir()
            yield folder

    @pytest.fixture
    def server(self, tmp_path: Path, disk: Path) -> Iterator[Server]:
        with running(tmp_path) as server:
            with server.connect("postgres") as connection, connection.cursor() as cursor:
                cursor.execute(f"CREATE TABLESPACE small LOCATION '{disk / 'tables'}'")
                cursor.execute("ALTER DATABASE polls SET TABLESPACE small")
            yield server

    def test_each_kind_of_write_is_refused_while_the_disk_is_full_and_recovers(
        self, serve: Serve, server: Server, disk: Path, tmp_path: Path, expect_exact: Expect
    ) -> None:
        def doctor() -> "subprocess.CompletedProcess[str]":
            return command(tmp_path, "doctor", "--config=polls.yaml")

        with serve() as polls, healthy(polls.url), Crowd([polls.url], concurrency=8, pause=0.02) as crowd:
            add_account(tmp_path)
            admin = Admin(polls.url)
            assert admin.sign_in().status == 200
            fill(disk / "ballast")
            assert eventually(lambda: crowd.answers[503] > 0)
            for table in ROWS:
                fill_pages(server, table)

            assert readiness(polls.url) == (503, "not writable")
            sick = doctor()
            assert Admin(polls.url).sign_in().status == 503
            assert admin.add_poll("Coffee?", "Yes", "No").status == 503

            (disk / "ballast").unlink()
            freed = time.monotonic()
            assert first_vote_after(crowd, freed) < RECOVERY_TIMEOUT
            assert readiness(polls.url) == (200, "writable")
            assert Admin(polls.url).sign_in().status == 200
            assert admin.add_poll("Coffee?", "Yes", "No").status == 200
            sound = doctor()

        assert sick.returncode == 1
        assert "fault writing: PostgreSQL can't store ballots: could not extend file" in sick.stdout
        assert (sound.returncode, "fault" in sound.stdout) == (0, False), sound.stdout
        assert server.execute("SELECT count(*) FROM question") == [(2,)]
        expect_exact(crowd)
