"""Backups: written completely or not at all, restored completely or not at all, and recounted."""

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from polls import paths
from polls.cli import CommandFailed
from polls.cli.backup import backup, restore
from polls.config.settings import Config, Postgres
from polls.storage import backup as backups
from polls.storage.backup import BackupFailed
from polls.storage.checks.schema import schema_damage
from polls.storage.postgres import migrations
from polls.storage.postgres.connect import Connection, connect, libpq_environment
from tests.conftest import CreatePoll, empty_database
from tests.support.processes import command, eventually, serving, write


@pytest.fixture
def other(postgres: Postgres) -> Iterator[Config]:
    """Another, empty database."""
    with empty_database(postgres, "other") as empty:
        yield Config(postgres=empty)


@pytest.fixture
def file(tmp_path: Path, config: Config, create_poll: CreatePoll) -> Path:
    """A backup of two polls with five ballots."""
    create_poll("Tea?", "Yes", "No", votes=(2, 1))
    create_poll("Coffee?", "Yes", votes=(2,))
    backup(config, tmp_path / "backup")
    return tmp_path / "backup"


def settings_of(config: Config) -> dict[str, object]:
    """The settings of the same database."""
    return {"postgres": {key: value for key, value in asdict(config.postgres).items() if value is not None}}


def tables(config: Config) -> list[str]:
    with connect(config.postgres) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1")
        return [name for (name,) in cursor.fetchall()]


def names(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as response:
        return str(response.read().decode())


def test_a_backup_is_restored_and_recounted(file: Path, other: Config, capsys: pytest.CaptureFixture[str]) -> None:
    assert restore(other, file) == 0

    assert capsys.readouterr().out.endswith("was restored\n5 ballots in 2 polls, counted exactly\n")
    with connect(other.postgres) as connection:
        assert migrations.pending(connection) == []
        assert schema_damage(connection) == []


def test_of_several_hosts_the_primary_is_backed_up_and_restored(
    config: Config, create_poll: CreatePoll, other: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    create_poll("Tea?", "Yes", votes=(2,))

    def one_of_two(postgres: Postgres) -> Config:
        return Config(postgres=replace(postgres, host=("127.0.0.1:1", str(postgres.host))))

    backup(one_of_two(config.postgres), tmp_path / "backup")
    assert restore(one_of_two(other.postgres), tmp_path / "backup") == 0

    assert capsys.readouterr().out.endswith("was restored\n2 ballots in 1 poll, counted exactly\n")


def test_only_its_owner_can_read_a_backup(file: Path) -> None:
    assert file.stat().st_mode & 0o777 == 0o600


def test_an_existing_file_is_replaced_only_with_force(config: Config, file: Path) -> None:
    file.write_text("something else")

    with pytest.raises(BackupFailed, match="backup exists; name another file, or add --force to replace it"):
        backup(config, file)

    assert file.read_text() == "something else"
    backup(config, file, overwrite=True)
    assert file.read_bytes().startswith(b"PGDMP")
    assert names(file.parent) == [file.name]


def test_a_folder_is_never_replaced(config: Config, tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match=r"exists; name another file$"):
        backup(config, tmp_path, overwrite=True)


def test_a_file_that_cannot_be_written_is_reported(config: Config, tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match=r"can't write .*: No such file or directory"):
        backup(config, tmp_path / "nowhere" / "backup")


def test_an_impossible_file_name_is_reported(config: Config, other: Config, tmp_path: Path) -> None:
    longest = tmp_path / ("x" * 300)

    with pytest.raises(BackupFailed, match=r"can't write .*: File name too long"):
        backup(config, longest)
    with pytest.raises(BackupFailed, match=r"can't read .*: File name too long"):
        restore(other, longest)


def test_an_interrupted_backup_leaves_no_file(config: Config, database: Connection, tmp_path: Path) -> None:
    settings = write(tmp_path, settings_of(config))
    with connect(config.postgres) as holder, holder.cursor() as cursor:
        cursor.execute("LOCK TABLE ballot")
        arguments = [sys.executable, "-m", "polls", "backup", f"--config={settings}", "backup"]
        with subprocess.Popen(arguments, cwd=tmp_path) as process:
            assert eventually(lambda: pg_dump_waits(database))
            assert any(name.startswith(".backup.") for name in names(tmp_path))

            process.send_signal(signal.SIGTERM)

            assert process.wait(10) == 128 + signal.SIGTERM

    assert names(tmp_path) == [settings.name]
    assert eventually(lambda: not pg_dump_waits(database))


def pg_dump_waits(database: Connection) -> bool:
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT FROM pg_stat_activity WHERE query LIKE 'LOCK TABLE public.%' AND wait_event_type = 'Lock'"
        )
        return cursor.rowcount > 0


def test_existing_polls_are_not_overwritten(config: Config, file: Path, database: Connection) -> None:
    with database.cursor() as cursor:
        cursor.execute("UPDATE question SET question_text = 'Still here?' WHERE id = 1")

    with pytest.raises(BackupFailed, match=r"is not empty and was not changed\. Restore into a new one: .*createdb"):
        restore(config, file)

    with database.cursor() as cursor:
        cursor.execute("SELECT question_text FROM question ORDER BY id")
        assert cursor.fetchall() == [("Still here?",), ("Coffee?",)]


@pytest.mark.parametrize("statement", ["CREATE TABLE theirs ()", "CREATE FUNCTION theirs() RETURNS int RETURN 1"])
def test_a_database_with_something_else_in_it_is_not_empty(other: Config, file: Path, statement: str) -> None:
    with connect(other.postgres) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)

    with pytest.raises(BackupFailed, match="is not empty"):
        restore(other, file)


def corrupted(content: bytes) -> bytes:
    """A backup whose last rows are invalid."""
    return content[:-50] + b"\xff" * 50


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-50], r"nothing was restored from .*backup; the database \w+ is still empty\. \w"),
        (lambda content: content[:100], r"backup is damaged or incomplete; use another backup\. pg_restore says: \w"),
        (corrupted, r"nothing was restored from .*backup; the database \w+ is still empty\. pg_restore says: \w"),
        (lambda _: b"", r"backup is not a backup of polls$"),
        (lambda _: b"polls" * 1000, r"backup is not a backup of polls$"),
    ],
)
def test_a_damaged_backup_restores_nothing(
    other: Config, file: Path, damage: Callable[[bytes], bytes], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANGUAGE", "de")  # the errors are recognized in every language
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    file.write_bytes(damage(file.read_bytes()))

    with pytest.raises(BackupFailed, match=message) as refused:
        restore(other, file)

    assert "\n" not in str(refused.value)
    assert tables(other) == []


def test_an_unreadable_file_is_reported(other: Config, tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match=r"can't read .*/gone: No such file or directory$"):
        restore(other, tmp_path / "gone")
    with pytest.raises(BackupFailed, match=r"can't read .*: Is a directory$"):
        restore(other, tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BackupFailed, match=r"pipe can be read only once; use standard input"):
        restore(other, tmp_path / "pipe")
    assert tables(other) == []


def test_sessions_are_not_restored(config: Config, other: Config, database: Connection, tmp_path: Path) -> None:
    with database.cursor() as cursor:
        cursor.execute("INSERT INTO account (username, password_hash) VALUES ('ada', '')")
        cursor.execute("INSERT INTO session (token_hash, account_id) SELECT 'x', id FROM account")
    backup(config, tmp_path / "backup")
    restore(other, tmp_path / "backup")

    with connect(other.postgres) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT (SELECT count(*) FROM account), (SELECT count(*) FROM session)")
        assert cursor.fetchone() == (1, 0)


def test_a_dump_of_another_application_is_refused(config: Config, other: Config, tmp_path: Path) -> None:
    with empty_database(config.postgres, "theirs") as theirs, connect(theirs) as connection:
        with connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE theirs ()")
        with (tmp_path / "dump").open("wb") as dump:
            command = [backups.find_program("pg_dump", connection), "--format=custom"]
            subprocess.run(command, env=os.environ | libpq_environment(theirs), stdout=dump, check=True)

    with pytest.raises(BackupFailed, match="dump is not a backup of polls"):
        restore(other, tmp_path / "dump")


def test_a_database_without_polls_is_not_backed_up(other: Config, tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match="there is nothing to back up"):
        backup(other, tmp_path / "backup")

    assert names(tmp_path) == []


@contextmanager
def recorded_migration(database: Connection, name: str, hash_: str) -> Iterator[None]:
    """Record this migration as applied until the end."""
    with database.cursor() as cursor:
        cursor.execute("SELECT hash FROM migration WHERE name = %s", (name,))
        before = cursor.fetchone()
        cursor.execute("DELETE FROM migration WHERE name = %s", (name,))
        cursor.execute("INSERT INTO migration (name, hash) VALUES (%s, %s)", (name, hash_))
        yield
        cursor.execute("DELETE FROM migration WHERE name = %s", (name,))
        if before:
            cursor.execute("INSERT INTO migration (name, hash) VALUES (%s, %s)", (name, *before))


@pytest.mark.parametrize(
    ("migration", "refusal"),
    [
        ("9999_not_yet", "was written by a newer polls, with 9999_not_yet; restore it with that one"),
        ("0002_ballot", "was written by a polls with another sql/0002_ballot.sql; restore it with that one"),
    ],
)
def test_a_backup_with_other_migrations_is_refused(
    config: Config, other: Config, database: Connection, tmp_path: Path, migration: str, refusal: str
) -> None:
    with recorded_migration(database, migration, "other"):
        backup(config, tmp_path / "backup")

    with pytest.raises(BackupFailed, match=refusal):
        restore(other, tmp_path / "backup")

    assert tables(other) == []


@pytest.mark.parametrize("migrate", [True, False])
def test_an_older_backup_is_migrated_if_configured(
    other: Config,
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    migrate: bool,
) -> None:
    newer = tmp_path / "sql"
    newer.mkdir()
    for migration in paths.SQL.glob("0*.sql"):
        (newer / migration.name).write_text(migration.read_text())
    (newer / "9999_new.sql").write_text("CREATE TABLE new ();")
    monkeypatch.setattr(paths, "SQL", newer)

    assert restore(replace(other, postgres=replace(other.postgres, migrate=migrate)), file) == 0

    assert ("new" in tables(other)) is migrate
    output = capsys.readouterr().out
    assert ("applied 9999_new\n" in output) is migrate
    assert ("the schema lacks 9999_new: apply it with `polls migrate`\n" in output) is not migrate
    assert "5 ballots in 2 polls, counted exactly" in output


def test_wrong_counts_in_a_backup_are_reported(
    config: Config,
    other: Config,
    create_poll: CreatePoll,
    database: Connection,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    create_poll("Tea?", "Yes", votes=(2,))
    create_poll("Coffee?", "Yes", votes=(2,))
    with database.cursor() as cursor:
        cursor.execute("UPDATE choice SET votes = 3 WHERE question_id = 2")
    backup(config, tmp_path / "backup")

    assert restore(other, tmp_path / "backup") == 1

    printed = capsys.readouterr()
    assert "poll 2: 2 ballots, COUNTED WRONGLY" in printed.out
    assert "poll 1" not in printed.out
    assert printed.err == "polls: 1 of 2 polls are COUNTED WRONGLY in this backup\n"


def test_without_programs_of_the_servers_version_the_package_to_install_is_named(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backups, "DEBIAN_BINARIES", tmp_path)
    monkeypatch.setattr(backups, "available_binaries", dict)
    (tmp_path / "pg_dump").write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.1'")
    (tmp_path / "pg_dump").chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(
        BackupFailed,
        match=r"no pg_dump of that version is installed here\. Install it \(on Debian: postgresql-client-",
    ):
        backup(config, tmp_path / "backup")


def test_a_private_server_is_restored_into_a_named_one_through_a_pipe(other: Config, tmp_path: Path) -> None:
    settings = write(tmp_path, {"postgres": {"embedded": "var/postgres"}})
    assert command(tmp_path, "sample", f"--config={settings}").returncode == 0
    arguments = [sys.executable, "-m", "polls", "backup", f"--config={settings}", "-"]
    piped = subprocess.run(arguments, cwd=tmp_path, capture_output=True, check=True).stdout
    settings = write(tmp_path, settings_of(other))
    arguments = [sys.executable, "-m", "polls", "restore", f"--config={settings}", "-"]
    restored = subprocess.run(arguments, cwd=tmp_path, input=piped, capture_output=True, check=True).stdout

    assert b"0 ballots in 6 polls, counted exactly" in restored
    with serving(tmp_path, f"--config={settings}") as polls:
        assert "/poll/3" in get(f"{polls.url}/")


@pytest.mark.parametrize("name", ["-x.dump", "--clean", "-"])
def test_a_file_whose_name_looks_like_an_option_is_a_file(
    config: Config, create_poll: CreatePoll, other: Config, tmp_path: Path, name: str
) -> None:
    create_poll("Tea?", "Yes", votes=(2,))

    written = command(tmp_path, "backup", f"--config={write(tmp_path, settings_of(config))}", f"./{name}")
    restored = command(tmp_path, "restore", f"--config={write(tmp_path, settings_of(other))}", f"./{name}")

    assert (written.returncode, (tmp_path / name).exists()) == (0, True), written.stderr
    assert restored.stdout.endswith("2 ballots in 1 poll, counted exactly\n"), restored.stderr


def test_a_backup_is_not_written_to_a_terminal(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)

    with pytest.raises(CommandFailed, match="redirect standard output to a file"):
        backup(config, Path("-"))


def test_a_running_polls_shows_the_restored_polls(other: Config, file: Path, tmp_path: Path) -> None:
    with serving(tmp_path, config=settings_of(other)) as polls:
        assert "There are no polls yet." in get(f"{polls.url}/")
        with connect(other.postgres) as connection, connection, connection.cursor() as cursor:
            cursor.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")

        assert restore(other, file) == 0

        assert eventually(lambda: "Coffee?" in get(f"{polls.url}/"))
        assert "3 votes in all" in get(f"{polls.url}/poll/1/results")
        vote = urllib.request.Request(f"{polls.url}/poll/1/vote", b"choice=1")
        with urllib.request.urlopen(vote, timeout=10) as response:
            assert "4 votes in all" in response.read().decode()
