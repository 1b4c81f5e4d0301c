"""`polls doctor`: no faults in a sound set-up, and a line for each fault."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from polls.config.settings import Postgres
from polls.storage.checks import server as server_checks
from polls.storage.checks.findings import CheckResults, Verdict
from polls.storage.checks.runner import CHECKS, run_checks
from polls.storage.checks.start import prepare
from polls.storage.postgres import migrations
from polls.storage.postgres.connect import Connection, connect
from tests.conftest import empty_database
from tests.support.processes import FAKETIME, TIMEOUT, command, eventually, serving, write
from tests.support.refused_ballots import refusing_ballots
from tests.support.servers import Server, running

SUBJECTS = [
    "configuration",
    "who may make polls",
    "open files",
    "database",
    "version",
    "encoding",
    "session",
    "writing",
    "settings",
    "standbys",
    "clock",
    "schema",
    "permissions",
    "connections",
    "memory",
    "log",
    "counts",
]


def verdicts(output: str) -> dict[str, str]:
    """{subject: its worst verdict} in the output of doctor, all of whose lines must have the right form."""
    found: dict[str, str] = {}
    for line in output.splitlines():
        parts = re.fullmatch(r"(ok   |note |fault) ([a-z ]+): \S.+", line)
        assert parts, line
        found[parts[2]] = max(found.get(parts[2], ""), parts[1].strip(), key=["", "ok", "note", "fault"].index)
    return found


def faults(output: str) -> list[str]:
    return [line.removeprefix("fault ") for line in output.splitlines() if line.startswith("fault")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A PostgreSQL with default settings and the schema of polls."""
    with running(tmp_path_factory.mktemp("doctor"), version=min) as server:
        with connect(settings_of(server)) as connection:
            migrations.migrate(settings_of(server), connection)
        yield server


def settings_of(server: Server, **others: object) -> Postgres:
    return replace(Postgres(**server.address), database="polls", **others)  # type: ignore[arg-type]


def faults_of(postgres: Postgres) -> list[str]:
    with connect(postgres) as connection:
        return [str(finding)[6:] for finding in run_checks(connection, postgres) if finding.verdict is Verdict.FAULT]


@contextmanager
def role(server: Server, name: str, *grants: str) -> Iterator[Postgres]:
    """Create a role that may log in and has these privileges, and yield the settings to use it."""
    server.execute(f'CREATE ROLE "{name}" LOGIN')
    server.execute(f'ALTER ROLE "{name}" SET log_min_error_statement = panic')
    server.execute(f'ALTER ROLE "{name}" SET log_error_verbosity = terse')
    try:
        for grant in grants:
            server.execute(f'GRANT {grant} TO "{name}"')
        yield settings_of(server, user=name)
    finally:
        server.execute(f'DROP OWNED BY "{name}"; DROP ROLE "{name}"')


def test_the_default_set_up_is_sound(tmp_path: Path) -> None:
    done = command(tmp_path, "doctor")

    assert (done.returncode, done.stderr) == (0, "")
    assert "it is created when polls starts" in done.stdout
    assert command(tmp_path, "migrate").returncode == 0

    done = command(tmp_path, "doctor")

    assert (done.returncode, done.stderr) == (0, "")
    assert list(verdicts(done.stdout)) == SUBJECTS
    assert faults(done.stdout) == []
    assert "every poll's counts equal its ballots" in done.stdout


def test_ballots_that_break_the_rules_of_their_poll_are_reported(tmp_path: Path, server: Server) -> None:
    config = write(tmp_path, {"postgres": server.address})
    server.execute(
        "INSERT INTO question (id, question_text, pub_date, ballots) VALUES (7, 'Tea?', now(), 1);"
        "INSERT INTO choice (id, question_id, choice_text, votes) VALUES (70, 7, 'Yes', 1), (71, 7, 'No', 1);"
        "INSERT INTO ballot (question_id, voter, marks) VALUES (7, uuid_send(gen_random_uuid()), '{70, 71}')"
    )
    try:
        done = command(tmp_path, "doctor", f"--config={config}")
        found = command(tmp_path, "verify", "--repair", f"--config={config}")
    finally:
        server.execute("DELETE FROM question; DELETE FROM history")

    assert (found.returncode, found.stdout) == (1, "poll 7: 1 ballot (1 AGAINST ITS RULES), counted exactly\n")
    assert "poll 7: 1 ballot (1 AGAINST ITS RULES), counted exactly. polls never stores such ballots" in done.stdout
    assert faults(done.stdout) == []


def test_a_poll_that_is_counted_wrongly_is_reported_and_repaired(tmp_path: Path, server: Server) -> None:
    config = write(tmp_path, {"postgres": server.address})
    server.execute(
        "INSERT INTO question (id, question_text, pub_date, ballots) VALUES (7, 'Tea?', now(), 3);"
        "INSERT INTO choice (question_id, choice_text, votes) VALUES (7, 'Yes', 2)"
    )
    try:
        (fault,) = faults_of(settings_of(server))
        wrong = command(tmp_path, "verify", f"--config={config}")
        repaired = command(tmp_path, "verify", "--repair", f"--config={config}")
        again = command(tmp_path, "verify", "--poll=7", f"--config={config}")
    finally:
        server.execute("DELETE FROM question; DELETE FROM history")

    assert fault.startswith("counts: poll 7: 0 ballots, COUNTED WRONGLY: question.ballots says 3; choice ")
    assert fault.endswith("Set them from the ballots: `polls verify --repair --poll 7`")
    assert [done.returncode for done in (wrong, repaired, again)] == [1, 0, 0]
    assert repaired.stdout == wrong.stdout.strip() + "; REPAIRED\n"
    assert again.stdout == "poll 7: 0 ballots, counted exactly\n"


def test_a_named_server_with_default_settings_is_sound(tmp_path: Path, server: Server) -> None:
    write(tmp_path, {"postgres": server.address})

    done = command(tmp_path, "doctor", "--config=polls.yaml")

    assert (done.returncode, done.stderr) == (0, "")
    found = verdicts(done.stdout)
    assert list(found) == SUBJECTS
    assert {subject for subject in found if found[subject] != "ok"} == {"standbys"}


def test_weak_settings_are_reported(tmp_path: Path, postgres: Postgres) -> None:
    """The tests' own server has them off, for speed."""
    settings = {key: value for key, value in asdict(postgres).items() if value is not None}
    write(tmp_path, {"postgres": settings})

    done = command(tmp_path, "doctor", "--config=polls.yaml")

    assert done.returncode == 1
    assert [fault.split()[:4] for fault in faults(done.stdout)] == [
        ["settings:", "fsync", "is", "off"],
        ["settings:", "full_page_writes", "is", "off"],
        ["settings:", "synchronous_commit", "is", "off"],
    ]
    assert "Set it to on" in done.stdout


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"host": "127.0.0.1", "port": 1},
            r"can't reach PostgreSQL: .*Connection refused.*\. Check the settings below",
        ),
        (
            {"user": "nobody"},
            r"can't reach PostgreSQL: .*role \"nobody\" does not exist\. Create it: createuser nobody",
        ),
        ({"database": "nowhere"}, r"the database nowhere does not exist .* Create it: createdb nowhere"),
    ],
)
def test_an_unreachable_database_is_one_line(
    tmp_path: Path, server: Server, settings: dict[str, object], message: str
) -> None:
    write(tmp_path, {"postgres": server.address | settings})

    done = command(tmp_path, "doctor", "--config=polls.yaml")

    assert (done.returncode, done.stderr) == (1, "")
    assert list(verdicts(done.stdout)) == ["configuration", "who may make polls", "open files", "database"]
    (fault,) = faults(done.stdout)
    assert re.match(rf"database: {message}", fault), fault


def test_of_several_hosts_the_primary_is_checked(tmp_path: Path, server: Server) -> None:
    hosts = ["127.0.0.1:1", server.address["host"]]
    write(tmp_path, {"postgres": server.address | {"host": hosts, "database": "polls"}})

    done = command(tmp_path, "doctor", "--config=polls.yaml")

    assert (done.returncode, done.stderr) == (0, "")
    assert list(verdicts(done.stdout)) == SUBJECTS


def test_each_fault_of_the_configuration_is_one_line(tmp_path: Path) -> None:
    write(tmp_path, {"postgres": {"minsize": 9, "maxsize": 1}, "prot": 1})

    done = command(tmp_path, "doctor", "--config=polls.yaml")

    assert (done.returncode, done.stderr) == (2, "")
    assert faults(done.stdout) == [
        "configuration: polls.yaml:3: postgres.minsize: value can't be greater than maxsize",
        "configuration: polls.yaml:4: prot: unknown key; did you mean port?",
    ]


@pytest.mark.skipif(not FAKETIME, reason="libfaketime is not installed (on Debian: apt-get install libfaketime)")
def test_a_wrong_clock_is_reported(tmp_path: Path, server: Server) -> None:
    write(tmp_path, {"postgres": server.address})

    done = command(tmp_path, "doctor", "--config=polls.yaml", LD_PRELOAD=FAKETIME, FAKETIME="-1d")

    assert done.returncode == 1
    (fault,) = faults(done.stdout)
    assert re.match(r"clock: this machine is 86,(399|400|401) seconds behind the database\..* by NTP$", fault)


@pytest.mark.parametrize(("limit", "verdict"), [(512, "fault"), (4096, "note")])
def test_a_low_limit_of_open_files_is_reported(tmp_path: Path, limit: int, verdict: str) -> None:
    write(tmp_path, {"postgres": {"host": "127.0.0.1", "port": 1}})

    done = subprocess.run(
        ["sh", "-c", f'ulimit -n {limit} && exec "{sys.executable}" -m polls doctor --config=polls.yaml'],
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )

    assert verdicts(done.stdout)["open files"] == verdict, done.stderr
    assert f"up to {limit:,}" in done.stdout


def test_an_outdated_schema_is_a_fault_and_a_newer_one_a_note(tmp_path: Path, server: Server) -> None:
    write(tmp_path, {"postgres": server.address | {"migrate": False}})
    pending = migrations.migrations()[-2].name  # one that creates no table: a table without its migration isn't ours
    server.execute(
        f"UPDATE migration SET name = '9999_of_tomorrow' WHERE name = '{pending}'",
    )
    try:
        done = command(tmp_path, "doctor", "--config=polls.yaml")
        with_migrate_on = faults_of(settings_of(server))
        server.execute("UPDATE migration SET hash = '' WHERE name LIKE '0001%'")
        edited = faults_of(settings_of(server))
    finally:
        hashes = {migration.name: migration.hash for migration in migrations.migrations()}
        server.execute(f"UPDATE migration SET name = '{pending}' WHERE name = '9999_of_tomorrow'")
        for name, hash_ in hashes.items():
            server.execute(f"UPDATE migration SET hash = '{hash_}' WHERE name = '{name}'")

    assert done.returncode == 1
    assert faults(done.stdout) == [
        f"schema: {pending} not applied, and postgres.migrate is off. Run `polls migrate`",
    ]
    assert "note  schema: 9999_of_tomorrow of a newer version of polls; this one works with it" in done.stdout
    assert with_migrate_on == []
    assert len(edited) == 1
    assert edited[0].startswith("schema: sql/0001_question_and_choice.sql was edited after it had been applied")


@pytest.mark.parametrize(
    ("damage", "subject", "message"),
    [
        (
            "DROP TABLE ballot",
            "schema",
            r"tables of polls were dropped .*: ballot\. Restore a backup into a new database",
        ),
        (
            "ALTER TABLE question DISABLE TRIGGER USER",
            "schema",
            "triggers of the table question are disabled: .* ALTER TABLE question ENABLE TRIGGER USER",
        ),
        ("ALTER TABLE choice DISABLE TRIGGER ALL", "schema", ".* ALTER TABLE choice ENABLE TRIGGER ALL"),
        (
            "DROP TRIGGER choice_recounted ON choice",
            "schema",
            r"the trigger choice_recounted of the table choice is missing: .*\. CREATE OR REPLACE TRIGGER choice_",
        ),
        (
            "ALTER TABLE ballot DROP CONSTRAINT ballot_pkey",
            "schema",
            r"the constraint ballot_pkey .* no vote can be stored\. ALTER TABLE ballot ADD CONSTRAINT ballot_pkey PRIM",
        ),
        (
            "DROP TABLE migration",
            "schema",
            r"tables of polls were dropped .*: migration\. Restore a backup into a new database",
        ),
        ("ALTER TABLE ballot SET UNLOGGED", "schema", ".* ALTER TABLE ballot SET LOGGED"),
    ],
)
def test_manual_damage_to_the_schema_is_reported_by_doctor_and_at_the_start(
    tmp_path: Path, server: Server, damage: str, subject: str, message: str
) -> None:
    with empty_database(settings_of(server), "damaged") as damaged:
        settings = write(tmp_path, {"postgres": server.address | {"database": damaged.database}})
        assert command(tmp_path, "migrate", f"--config={settings}").returncode == 0
        with connect(damaged) as connection, connection, connection.cursor() as cursor:
            cursor.execute(damage)

        (fault,) = faults_of(damaged)
        assert re.match(f"{subject}: {message}", fault), fault

        sentence = fault.partition(": ")[2]
        if damage.startswith("DROP TABLE"):
            for arguments in (["--port=0"], ["verify"], ["backup", "x"]):
                done = command(tmp_path, *arguments, f"--config={settings}")
                assert (done.returncode, done.stderr) == (1, f"polls: {sentence}\n")
        else:
            with serving(tmp_path, config={"postgres": server.address | {"database": damaged.database}}) as polls:
                assert sentence in polls.log.read_text()


def test_changes_by_operators_and_newer_versions_are_no_damage(server: Server) -> None:
    with empty_database(settings_of(server), "changed") as changed, connect(changed) as connection:
        migrations.migrate(changed, connection)
        with connection, connection.cursor() as cursor:
            cursor.execute(
                """
                CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
                CREATE TRIGGER audit AFTER INSERT ON ballot FOR EACH ROW EXECUTE FUNCTION audit();
                ALTER TABLE ballot DISABLE TRIGGER audit;
                DROP TRIGGER question_changed ON question;
                DROP TABLE question_words;
                INSERT INTO migration (name, hash) VALUES ('9999_of_tomorrow', '');
                """
            )

        assert faults_of(changed) == []
        prepare(changed, connection)


def test_the_statements_that_doctor_gives_for_unlogged_tables_work(server: Server) -> None:
    with empty_database(settings_of(server), "unlogged") as unlogged, connect(unlogged) as connection:
        migrations.migrate(unlogged, connection)
        with connection, connection.cursor() as cursor:
            cursor.execute("ALTER TABLE ballot SET UNLOGGED; ALTER TABLE question_words SET UNLOGGED")
            cursor.execute("ALTER TABLE poll_settings SET UNLOGGED")
            cursor.execute("ALTER TABLE choice SET UNLOGGED; ALTER TABLE question SET UNLOGGED")

        faults = faults_of(unlogged)
        for fault in faults:
            with connection, connection.cursor() as cursor:
                cursor.execute(fault.rpartition(". ")[2])

        assert len(faults) == 5
        assert faults_of(unlogged) == []


def test_missing_privileges_are_reported(tmp_path: Path, server: Server) -> None:
    reading = ["SELECT ON ALL TABLES IN SCHEMA public", "INSERT, UPDATE, DELETE ON choice"]
    with role(server, "a clerk", *reading) as clerk:
        write(tmp_path, {"postgres": {key: value for key, value in asdict(clerk).items() if value is not None}})
        done = command(tmp_path, "doctor", "--config=polls.yaml")
        missing = faults(done.stdout)
        for privileges, name in re.findall(r"GRANT ([A-Z, ]+ ON public\.\w+) TO (\"a clerk\")", done.stdout):
            server.execute(f"GRANT {privileges} TO {name}")
        server.execute('GRANT CREATE ON SCHEMA public TO "a clerk"')
        granted = faults_of(clerk)
        without_migrations = faults_of(replace(clerk, migrate=False))
        server.execute("REVOKE USAGE ON SCHEMA public FROM public")
        try:
            without_usage = faults_of(replace(clerk, migrate=False))
        finally:
            server.execute("GRANT USAGE ON SCHEMA public TO public")

    assert done.returncode == 1
    tables = ["account", "ballot", "history", "poll_settings", "question", "question_words", "session"]
    assert [fault.split(" on ")[1].split(".")[0] for fault in missing[:-2]] == [*tables, "sign_in_failure"]
    assert missing[0] == (
        'permissions: "a clerk" may not INSERT, UPDATE on account. GRANT INSERT, UPDATE ON public.account TO "a clerk"'
    )
    assert '"a clerk" may not create tables, and postgres.migrate is on. GRANT CREATE ON SCHEMA public' in missing[-2]
    assert '"a clerk" does not own account, ballot, choice, history, migration, poll_settings, question' in missing[-1]
    assert [fault.split(",")[0] for fault in granted] == ['permissions: "a clerk" does not own account']
    assert without_migrations == []
    assert 'permissions: "a clerk" may use no schema. GRANT USAGE ON SCHEMA public TO "a clerk"' in without_usage


@pytest.mark.parametrize("arguments", [["--port=0"], ["verify"], ["admins"]])
def test_an_error_about_privileges_recommends_doctor(tmp_path: Path, server: Server, arguments: list[str]) -> None:
    with role(server, "stranger"):
        write(tmp_path, {"postgres": server.address | {"user": "stranger"}})
        done = command(tmp_path, *arguments, "--config=polls.yaml")

    assert done.returncode == 1
    assert done.stderr == (
        "polls: PostgreSQL refused: permission denied for table migration. "
        "`polls doctor` shows what is wrong with the set-up\n"
    )


def test_too_few_connections_are_reported(server: Server) -> None:
    assert faults_of(settings_of(server, maxsize=98)) == []
    (fault,) = faults_of(settings_of(server, maxsize=99))
    assert fault.startswith("connections: a process opens up to 101, and PostgreSQL allows 100. Raise max_connections")

    with role(server, "narrow", "ALL ON ALL TABLES IN SCHEMA public") as narrow:
        without_migrations = replace(narrow, migrate=False)
        assert faults_of(without_migrations) == []
        assert "allows 97" in faults_of(replace(without_migrations, maxsize=98))[0]
        server.execute("ALTER ROLE narrow CONNECTION LIMIT 6")
        assert "opens up to 7, and PostgreSQL allows 6" in faults_of(without_migrations)[0]


def test_a_read_only_database_is_reported(server: Server) -> None:
    server.execute("ALTER DATABASE polls SET default_transaction_read_only = on")
    try:
        (fault,) = faults_of(settings_of(server))
    finally:
        with server.connect("postgres") as connection, connection.cursor() as cursor:
            cursor.execute("ALTER DATABASE polls RESET ALL")

    assert fault.startswith("writing: this database is read-only and takes no votes. Reset")


def test_a_database_that_cannot_store_ballots_is_reported(server: Server) -> None:
    with server.connect() as connection, refusing_ballots(connection):
        assert faults_of(settings_of(server)) == ["writing: PostgreSQL can't store ballots: no space left"]


def test_the_try_to_store_ballots_leaves_nothing(server: Server) -> None:
    contents = "SELECT (SELECT count(*) FROM question), (SELECT count(*) FROM ballot), last_value FROM question_id_seq"
    before = server.execute(contents)
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("LISTEN polls")
        assert faults_of(settings_of(server)) == []
        cursor.execute("NOTIFY polls, 'the end'")

        assert [notification.payload for notification in connection.notifies] == ["the end"]
    assert server.execute(contents) == before


def test_a_version_that_is_too_old_is_reported(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_checks, "OLDEST_VERSION", 99)

    (fault,) = faults_of(settings_of(server))

    assert re.fullmatch(r"version: PostgreSQL \d\d\S* .*is too old\. Upgrade it to 99 or later", fault)


def test_missing_synchronous_standbys_are_reported(server: Server, tmp_path: Path) -> None:
    def require_standby(names: str, commit: str = "on") -> None:
        server.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
        server.execute(f"ALTER SYSTEM SET synchronous_commit = '{commit}'")
        server.execute("SELECT pg_reload_conf()")
        assert eventually(lambda: server.execute("SHOW synchronous_standby_names") == [(names,)])
        assert eventually(lambda: server.execute("SHOW synchronous_commit") == [(commit,)])

    try:
        require_standby("far_away")
        missing = faults_of(settings_of(server))
        require_standby("far_away", "local")
        not_waited_for = faults_of(settings_of(server))
        require_standby("far_away")
        with standby(server, tmp_path, "far_away"):
            assert eventually(lambda: faults_of(settings_of(server)) == [])
    finally:
        require_standby("")

    assert missing == [
        (
            "standbys: votes wait for far_away, and none of these is connected, so no vote is counted. "
            "Start one, or change synchronous_standby_names"
        )
    ]
    assert not_waited_for == [
        "standbys: votes don't wait for far_away, since synchronous_commit is local. Set it to on"
    ]


@contextmanager
def standby(server: Server, folder: Path, name: str) -> Iterator[None]:
    """Receive and acknowledge WAL as a synchronous standby does."""
    address = server.address
    command = [
        *(server.binaries / "pg_receivewal", f"--directory={folder}", "--synchronous", "--no-loop"),
        f"--dbname=host={address['host']} port={address['port']} user={address['user']} application_name={name}",
    ]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def test_an_index_of_ballots_that_does_not_fit_into_memory_is_noted(tmp_path: Path) -> None:
    with running(tmp_path, {"shared_buffers": "1MB"}) as server, connect(settings_of(server)) as connection:
        migrations.migrate(settings_of(server), connection)
        (fits,) = run_checks(connection, settings_of(server), {"memory": CHECKS["memory"]})
        server.execute(
            "SET session_replication_role = replica; INSERT INTO ballot (question_id, voter, marks) "
            "SELECT 1, uuid_send(gen_random_uuid()), '{1}' FROM generate_series(1, 30000)"
        )
        (too_large,) = run_checks(connection, settings_of(server), {"memory": CHECKS["memory"]})

    assert str(fits) == "ok    memory: the index of ballots has 8192 bytes, and fits into shared_buffers, 1MB"
    assert re.match(r"note  memory: the index of ballots has \d+ kB, and shared_buffers is 1MB: .*", str(too_large))


def test_a_check_that_fails_is_a_fault_and_the_others_still_run(postgres: Postgres) -> None:
    def failing(connection: Connection, _: Postgres) -> CheckResults:
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")
        yield from ()

    with connect(postgres) as connection:
        found = list(run_checks(connection, postgres, {"arithmetic": failing, "version": CHECKS["version"]}))

    assert str(found[0]) == "fault arithmetic: this check failed. PostgreSQL says: division by zero"
    assert [finding.subject for finding in found] == ["arithmetic", "version"]
