"""Backups: whole or not there, restored whole or not at all, and counted again."""

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
from polls.cli.backup import backup, restore
from polls.cli.errors import CommandFailed as Refused
from polls.config.settings import Config, Postgres
from polls.storage.postgres import backup as backups
from polls.storage.postgres import embedded, migrations
from polls.storage.postgres.connect import Connection, connect
from tests.conftest import Ask, empty_database
from tests.support.processes import command, eventually, serving, write


@pytest.fixture
def elsewhere(postgres: Postgres) -> Iterator[Config]:
    """Another database, with nothing in it."""
    with empty_database(postgres, "elsewhere") as empty:
        yield Config(postgres=empty)


@pytest.fixture
def file(tmp_path: Path, config: Config, ask: Ask) -> Path:
    """A backup of two polls with five ballots."""
    ask("Tea?", "Yes", "No", votes=(2, 1))
    ask("Coffee?", "Yes", votes=(2,))
    assert backup(config, tmp_path / "backup") == 0
    return tmp_path / "backup"


def named(config: Config) -> dict[str, object]:
    """The settings that lead to the same database."""
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


def test_what_was_backed_up_is_restored_and_counted(
    file: Path, elsewhere: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    assert restore(elsewhere, file) == 0

    assert capsys.readouterr().out.endswith("was restored\n5 ballots in 2 polls, counted exactly\n")
    with connect(elsewhere.postgres) as connection:
        assert migrations.pending(connection) == []


def test_of_several_hosts_the_one_that_takes_votes_is_backed_up_and_filled(
    config: Config, ask: Ask, elsewhere: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ask("Tea?", "Yes", votes=(2,))

    def one_of_two(postgres: Postgres) -> Config:
        return Config(postgres=replace(postgres, host=("127.0.0.1:1", str(postgres.host))))

    assert backup(one_of_two(config.postgres), tmp_path / "backup") == 0
    assert restore(one_of_two(elsewhere.postgres), tmp_path / "backup") == 0

    assert capsys.readouterr().out.endswith("was restored\n2 ballots in 1 poll, counted exactly\n")


def test_its_owner_alone_can_read_a_backup(file: Path) -> None:
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_there_is_replaced_only_by_force(config: Config, file: Path) -> None:
    file.write_text("something else")

    with pytest.raises(Refused, match="backup is there already; name another file, or say --force to replace it"):
        backup(config, file)

    assert file.read_text() == "something else"
    assert backup(config, file, replace_it=True) == 0
    assert file.read_bytes().startswith(b"PGDMP")
    assert names(file.parent) == [file.name]


def test_what_is_no_file_is_never_replaced(config: Config, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"is there already; name another file$"):
        backup(config, tmp_path, replace_it=True)


def test_a_file_that_cannot_be_written_is_said(config: Config, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"can't write .*: No such file or directory"):
        backup(config, tmp_path / "nowhere" / "backup")


def test_a_name_that_no_file_can_have_is_said(config: Config, elsewhere: Config, tmp_path: Path) -> None:
    longest = tmp_path / ("x" * 300)

    with pytest.raises(Refused, match=r"can't write .*: File name too long"):
        backup(config, longest)
    with pytest.raises(Refused, match=r"can't read .*: File name too long"):
        restore(elsewhere, longest)


def test_a_backup_that_is_broken_off_leaves_no_file(config: Config, database: Connection, tmp_path: Path) -> None:
    settings = write(tmp_path, named(config))
    with connect(config.postgres) as holder, holder.cursor() as cursor:
        cursor.execute("LOCK TABLE ballot")
        arguments = [sys.executable, "-m", "polls", "backup", f"--config={settings}", "backup"]
        with subprocess.Popen(arguments, cwd=tmp_path) as process:
            assert eventually(lambda: _pg_dump_waits(database))
            assert any(name.startswith(".backup.") for name in names(tmp_path))

            process.send_signal(signal.SIGTERM)

            assert process.wait(10) == 128 + signal.SIGTERM

    assert names(tmp_path) == [settings.name]
    assert eventually(lambda: not _pg_dump_waits(database))


def _pg_dump_waits(database: Connection) -> bool:
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT FROM pg_stat_activity WHERE query LIKE 'LOCK TABLE public.%' AND wait_event_type = 'Lock'"
        )
        return cursor.rowcount > 0


def test_nothing_is_restored_over_polls_that_are_there(config: Config, file: Path, database: Connection) -> None:
    with database.cursor() as cursor:
        cursor.execute("UPDATE question SET question_text = 'Still here?' WHERE id = 1")

    with pytest.raises(Refused, match=r"is not empty, and stays as it is\. Restore into a new one: .*createdb"):
        restore(config, file)

    with database.cursor() as cursor:
        cursor.execute("SELECT question_text FROM question ORDER BY id")
        assert cursor.fetchall() == [("Still here?",), ("Coffee?",)]


@pytest.mark.parametrize("other", ["CREATE TABLE theirs ()", "CREATE FUNCTION theirs() RETURNS int RETURN 1"])
def test_a_database_with_something_else_in_it_is_not_empty(elsewhere: Config, file: Path, other: str) -> None:
    with connect(elsewhere.postgres) as connection, connection, connection.cursor() as cursor:
        cursor.execute(other)

    with pytest.raises(Refused, match="is not empty"):
        restore(elsewhere, file)


def spoilt(content: bytes) -> bytes:
    """The backup with nonsense where the last rows are."""
    return content[:-50] + b"\xff" * 50


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda content: content[:-50], r"nothing was restored of .*backup; the database \w+ is empty as before\. \w"),
        (lambda content: content[:100], r"backup is damaged, or was cut off; use another backup\. pg_restore says: \w"),
        (spoilt, r"nothing was restored of .*backup; the database \w+ is empty as before\. pg_restore says: \w"),
        (lambda _: b"", r"backup is no backup of polls$"),
        (lambda _: b"polls" * 1000, r"backup is no backup of polls$"),
    ],
)
def test_of_a_broken_backup_nothing_is_restored(
    elsewhere: Config, file: Path, schema_damage: Callable[[bytes], bytes], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANGUAGE", "de")  # whatever language the operator speaks
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    file.write_bytes(schema_damage(file.read_bytes()))

    with pytest.raises(Refused, match=said) as refused:
        restore(elsewhere, file)

    assert "\n" not in str(refused.value)
    assert tables(elsewhere) == []


def test_what_is_no_file_is_said(elsewhere: Config, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"can't read .*/gone: No such file or directory$"):
        restore(elsewhere, tmp_path / "gone")
    with pytest.raises(Refused, match=r"can't read .*: Is a directory$"):
        restore(elsewhere, tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Refused, match=r"pipe can be read only once; lead it to standard input"):
        restore(elsewhere, tmp_path / "pipe")
    assert tables(elsewhere) == []


def test_who_was_signed_in_is_not_signed_in_by_a_backup(
    config: Config, elsewhere: Config, database: Connection, tmp_path: Path
) -> None:
    with database.cursor() as cursor:
        cursor.execute("INSERT INTO account (username, password_hash) VALUES ('ada', '')")
        cursor.execute("INSERT INTO session (token_hash, account_id) SELECT 'x', id FROM account")
    backup(config, tmp_path / "backup")
    restore(elsewhere, tmp_path / "backup")

    with connect(elsewhere.postgres) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT (SELECT count(*) FROM account), (SELECT count(*) FROM session)")
        assert cursor.fetchone() == (1, 0)


def test_a_dump_of_something_else_is_no_backup_of_polls(config: Config, elsewhere: Config, tmp_path: Path) -> None:
    with empty_database(config.postgres, "theirs") as theirs, connect(theirs) as connection:
        with connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE theirs ()")
        with (tmp_path / "dump").open("wb") as dump:
            words = [backups._program("pg_dump", theirs, connection), "--format=custom"]
            subprocess.run(words, env=os.environ | backups.environment(theirs), stdout=dump, check=True)

    with pytest.raises(Refused, match="dump is no backup of polls"):
        restore(elsewhere, tmp_path / "dump")


def test_there_must_be_polls_to_back_up(elsewhere: Config, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="there is nothing to back up"):
        backup(elsewhere, tmp_path / "backup")

    assert names(tmp_path) == []


@contextmanager
def remembering(database: Connection, name: str, hash_: str) -> Iterator[None]:
    """The database says that this migration was applied."""
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
        ("9999_not_yet", "was written by a newer polls, which knows 9999_not_yet; restore it with that"),
        ("0002_ballot", "was written by a polls with another sql/0002_ballot.sql; restore it with that"),
    ],
)
def test_the_backup_of_another_polls_is_refused(
    config: Config, elsewhere: Config, database: Connection, tmp_path: Path, migration: str, refusal: str
) -> None:
    with remembering(database, migration, "other"):
        backup(config, tmp_path / "backup")

    with pytest.raises(Refused, match=refusal):
        restore(elsewhere, tmp_path / "backup")

    assert tables(elsewhere) == []


@pytest.mark.parametrize("migrate", [True, False])
def test_an_older_backup_is_brought_up_to_date_where_the_configuration_says_so(
    elsewhere: Config,
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

    assert restore(replace(elsewhere, postgres=replace(elsewhere.postgres, migrate=migrate)), file) == 0

    assert ("new" in tables(elsewhere)) is migrate
    said = capsys.readouterr().out
    assert ("applied 9999_new\n" in said) is migrate
    assert ("the schema lacks 9999_new: apply it with `polls migrate`\n" in said) is not migrate
    assert "5 ballots in 2 polls, counted exactly" in said


def test_counts_that_were_wrong_already_are_told(
    config: Config,
    elsewhere: Config,
    ask: Ask,
    database: Connection,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ask("Tea?", "Yes", votes=(2,))
    ask("Coffee?", "Yes", votes=(2,))
    with database.cursor() as cursor:
        cursor.execute("UPDATE choice SET votes = 3 WHERE question_id = 2")
    backup(config, tmp_path / "backup")

    assert restore(elsewhere, tmp_path / "backup") == 1

    said = capsys.readouterr()
    assert "poll 2: 2 ballots, COUNTED WRONGLY" in said.out
    assert "poll 1" not in said.out
    assert said.err == "polls: 1 of 2 polls are COUNTED WRONGLY in this backup\n"


def test_without_programs_of_the_servers_version_it_says_what_to_install(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backups, "_DEBIAN", tmp_path)
    monkeypatch.setattr(embedded, "available_binaries", dict)
    (tmp_path / "pg_dump").write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.1'")
    (tmp_path / "pg_dump").chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(
        Refused, match=r"here is no pg_dump of that version\. Install it \(on Debian: postgresql-client-"
    ):
        backup(config, tmp_path / "backup")


def test_the_private_server_is_restored_into_a_named_one_through_a_pipe(elsewhere: Config, tmp_path: Path) -> None:
    settings = write(tmp_path, {"postgres": {"embedded": "var/postgres"}})
    assert command(tmp_path, "sample", f"--config={settings}").returncode == 0
    arguments = [sys.executable, "-m", "polls", "backup", f"--config={settings}", "-"]
    piped = subprocess.run(arguments, cwd=tmp_path, capture_output=True, check=True).stdout
    settings = write(tmp_path, named(elsewhere))
    arguments = [sys.executable, "-m", "polls", "restore", f"--config={settings}", "-"]
    restored = subprocess.run(arguments, cwd=tmp_path, input=piped, capture_output=True, check=True).stdout

    assert b"0 ballots in 3 polls, counted exactly" in restored
    with serving(tmp_path, f"--config={settings}") as polls:
        assert "/poll/3" in get(f"{polls.url}/")


def test_a_backup_is_not_poured_over_a_terminal(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)

    with pytest.raises(Refused, match="redirect standard output to a file"):
        backup(config, Path("-"))


def test_a_polls_that_serves_shows_what_was_restored_under_it(elsewhere: Config, file: Path, tmp_path: Path) -> None:
    with serving(tmp_path, config=named(elsewhere)) as polls:
        assert "No polls are available." in get(f"{polls.url}/")
        with connect(elsewhere.postgres) as connection, connection, connection.cursor() as cursor:
            cursor.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")

        assert restore(elsewhere, file) == 0

        assert eventually(lambda: "Coffee?" in get(f"{polls.url}/"))
        assert "3 votes in all" in get(f"{polls.url}/poll/1/results")
        vote = urllib.request.Request(f"{polls.url}/poll/1/vote", b"choice=1")
        with urllib.request.urlopen(vote, timeout=10) as response:
            assert "4 votes in all" in response.read().decode()
