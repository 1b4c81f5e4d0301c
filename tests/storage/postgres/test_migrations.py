"""Schema migrations."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from polls import paths
from polls.config.settings import Postgres
from polls.storage.checks.start import prepare
from polls.storage.postgres import migrations
from polls.storage.postgres.connect import Connection, UnusableDatabase, connect
from polls.storage.recount import recount
from tests.conftest import empty_database
from tests.support.processes import eventually, write


@pytest.fixture
def fresh(postgres: Postgres) -> Iterator[Postgres]:
    with empty_database(postgres, "fresh") as fresh:
        yield fresh


@pytest.fixture
def sql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of sql/ that a test may change."""
    for file in paths.SQL.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr(paths, "SQL", tmp_path)
    return tmp_path


ALL = [migration.name for migration in migrations.migrations()]


def applied_names(connection: Connection) -> list[str]:
    return list(migrations.applied(connection))


def test_a_migration_is_applied_once(fresh: Postgres) -> None:
    with connect(fresh) as connection:
        assert migrations.migrate(fresh, connection) == ALL
        assert migrations.migrate(fresh, connection) == []
        assert applied_names(connection) == ALL


def test_concurrent_processes_apply_each_migration_once(fresh: Postgres) -> None:
    applied: list[str] = []

    def migrate() -> None:
        with connect(fresh) as connection:
            applied.extend(migrations.migrate(fresh, connection))

    threads = [threading.Thread(target=migrate) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert applied == ALL


def test_an_edited_migration_is_refused(fresh: Postgres, sql: Path) -> None:
    with connect(fresh) as connection:
        migrations.migrate(fresh, connection)
        with (sql / "0001_question_and_choice.sql").open("a") as file:
            file.write("-- a small improvement\n")

        with pytest.raises(UnusableDatabase, match=r"sql/0001_question_and_choice\.sql was edited"):
            migrations.migrate(fresh, connection)


def test_a_failed_migration_is_rolled_back(fresh: Postgres, sql: Path) -> None:
    (sql / "9999_broken.sql").write_text("CREATE TABLE half (id integer); SELECT 1 / 0;")

    with (
        pytest.raises(UnusableDatabase, match="PostgreSQL refused: division by zero"),
        connect(fresh) as connection,
    ):
        migrations.migrate(fresh, connection)

    with connect(fresh) as connection:
        assert applied_names(connection) == ALL
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('half')")
            assert cursor.fetchone() == (None,)


def test_a_percent_sign_in_a_migration_is_literal(fresh: Postgres, sql: Path) -> None:
    (sql / "9999_percent.sql").write_text("CREATE TABLE share (text text DEFAULT '%s %% 100%');")

    with connect(fresh) as connection:
        assert migrations.migrate(fresh, connection) == [*ALL, "9999_percent"]


def test_an_outdated_schema_is_refused_if_migrate_is_off(fresh: Postgres) -> None:
    with connect(fresh) as connection, pytest.raises(UnusableDatabase, match="python -m polls migrate"):
        prepare(replace(fresh, migrate=False), connection)


def test_a_current_schema_is_accepted_if_migrate_is_off(fresh: Postgres) -> None:
    with connect(fresh) as connection:
        migrations.migrate(fresh, connection)

        prepare(replace(fresh, migrate=False), connection)


def test_a_newer_schema_is_accepted_and_logged(fresh: Postgres, sql: Path, caplog: pytest.LogCaptureFixture) -> None:
    (sql / "9999_newer.sql").write_text("CREATE TABLE newer (id integer);")
    with connect(fresh) as connection:
        migrations.migrate(fresh, connection)
        (sql / "9999_newer.sql").unlink()

        prepare(fresh, connection)

    assert caplog.messages == [
        "a newer version of polls has applied 9999_newer to the database; this one works with it"
    ]


def test_sample_polls_are_loaded_once(fresh: Postgres) -> None:
    with connect(fresh) as connection:
        migrations.migrate(fresh, connection)

        assert migrations.load_sample(connection) == 23
        assert migrations.load_sample(connection) == 0


def test_sample_polls_are_one_to_six_days_old_and_without_votes(fresh: Postgres) -> None:
    with connect(fresh) as connection, connection.cursor() as cursor:
        migrations.migrate(fresh, connection)
        migrations.load_sample(connection)

        cursor.execute("SELECT extract(day FROM now() - pub_date)::integer FROM question ORDER BY pub_date DESC")
        assert cursor.fetchall() == [(1,), (2,), (3,), (4,), (5,), (6,)]
        cursor.execute("SELECT sum(votes)::integer FROM choice")
        assert cursor.fetchone() == (0,)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("arguments", [["--port=0"], ["migrate"]])
def test_a_process_that_waits_for_another_to_migrate_can_be_ended(
    fresh: Postgres, tmp_path: Path, how: signal.Signals, arguments: list[str]
) -> None:
    settings = {key: value for key, value in asdict(fresh).items() if value is not None}
    file = write(tmp_path, {"postgres": settings})
    with connect(fresh) as connection, connection.cursor() as cursor:
        connection.autocommit = True  # each query sees the current activity
        cursor.execute("SELECT pg_advisory_lock(%s)", (migrations.LOCK_KEY,))
        with subprocess.Popen(
            [sys.executable, "-m", "polls", f"--config={file}", *arguments], cwd=tmp_path, stderr=subprocess.PIPE
        ) as waiting:

            def is_connected() -> bool:
                cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
                return cursor.fetchone() == (2,)

            assert eventually(is_connected)
            time.sleep(0.3)
            assert waiting.poll() is None
            waiting.send_signal(how)
            _, errors = waiting.communicate(timeout=10)

    assert waiting.returncode != 0 or arguments == ["--port=0"]
    assert b"Traceback" not in errors


def test_votes_from_before_the_table_ballot_are_counted_exactly(fresh: Postgres, sql: Path) -> None:
    later = sorted(sql.glob("0*.sql"))[1:]
    for file in later:
        file.rename(file.with_suffix(".later"))
    with connect(fresh) as connection, connection.cursor() as cursor:
        migrations.migrate(fresh, connection)
        cursor.execute("INSERT INTO question (question_text, pub_date) VALUES ('Tea?', now()), ('Coffee?', now())")
        cursor.execute(
            "INSERT INTO choice (question_id, choice_text, votes) VALUES (1, 'Yes', 3), (1, 'No', 0), (2, 'Yes', 2)"
        )
        connection.commit()
        for file in later:
            file.with_suffix(".later").rename(file)

        migrations.migrate(fresh, connection)

        assert [(poll.ballots, poll.is_exact) for poll in recount(connection)] == [(3, True), (2, True)]
