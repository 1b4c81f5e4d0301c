"""`polls doctor` finds nothing where nothing is wrong, and each fault where it is made."""

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
from polls.storage.checks import examination
from polls.storage.checks.examination import Verdict, examine
from polls.storage.postgres import migrations
from polls.storage.postgres.connect import connect
from tests.conftest import empty_database
from tests.support.processes import FAKETIME, TIMEOUT, command, eventually, serving, write
from tests.support.servers import Server, running

SUBJECTS = [
    "configuration",
    "open files",
    "database",
    "version",
    "writing",
    "settings",
    "standbys",
    "clock",
    "schema",
    "permissions",
    "connections",
    "counts",
]


def verdicts(said: str) -> dict[str, str]:
    """{subject: the worst verdict on it} of what doctor says, each line of which has its form."""
    found: dict[str, str] = {}
    for line in said.splitlines():
        parts = re.fullmatch(r"(ok   |note |fault) ([a-z ]+): \S.+", line)
        assert parts, line
        found[parts[2]] = max(found.get(parts[2], ""), parts[1].strip(), key=["", "ok", "note", "fault"].index)
    return found


def faults(said: str) -> list[str]:
    return [line.removeprefix("fault ") for line in said.splitlines() if line.startswith("fault")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A PostgreSQL as it comes, with the schema, and roles for those who test permissions."""
    with running(tmp_path_factory.mktemp("doctor"), version=min) as server:
        with connect(address(server)) as connection:
            migrations.migrate(address(server), connection)
        yield server


def address(server: Server, **others: object) -> Postgres:
    return replace(Postgres(**server.address), database="polls", **others)  # type: ignore[arg-type]


def found_wrong(postgres: Postgres) -> list[str]:
    with connect(postgres) as connection:
        return [str(finding)[6:] for finding in examine(connection, postgres) if finding.verdict is Verdict.FAULT]


@contextmanager
def role(server: Server, name: str, *grants: str) -> Iterator[Postgres]:
    """A role that may sign in, and what is granted; where polls is this role."""
    server.execute(f'CREATE ROLE "{name}" LOGIN')
    try:
        for grant in grants:
            server.execute(f'GRANT {grant} TO "{name}"')
        yield address(server, user=name)
    finally:
        server.execute(f'DROP OWNED BY "{name}"; DROP ROLE "{name}"')


def test_the_default_set_up_is_sound(tmp_path: Path) -> None:
    done = command(tmp_path, "doctor")

    assert (done.returncode, done.stderr) == (0, "")
    assert list(verdicts(done.stdout)) == SUBJECTS
    assert faults(done.stdout) == []
    assert "polls verify" in done.stdout


def test_a_server_of_ones_own_is_sound_as_it_comes(tmp_path: Path, server: Server) -> None:
    write(tmp_path, {"postgres": server.address})

    done = command(tmp_path, "doctor", "--config=polls.yaml")

    assert (done.returncode, done.stderr) == (0, "")
    found = verdicts(done.stdout)
    assert list(found) == SUBJECTS
    assert {subject for subject in found if found[subject] != "ok"} == {"standbys", "counts"}


def test_weak_settings_are_found(tmp_path: Path, postgres: Postgres) -> None:
    """The tests' own server is careless."""
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
    ("settings", "said"),
    [
        ({"host": "127.0.0.1", "port": 1}, r"can't reach PostgreSQL: .*Connection refused.*\. Check what stands below"),
        ({"user": "nobody"}, r"can't reach PostgreSQL: .*role \"nobody\" does not exist\. Make it: createuser nobody"),
        ({"database": "nowhere"}, r"the database nowhere does not exist .* Make it: createdb nowhere"),
    ],
)
def test_a_database_that_cannot_be_reached_is_a_line(
    tmp_path: Path, server: Server, settings: dict[str, object], said: str
) -> None:
    write(tmp_path, {"postgres": server.address | settings})

    done = command(tmp_path, "doctor", "--config=polls.yaml")

    assert (done.returncode, done.stderr) == (1, "")
    assert list(verdicts(done.stdout)) == ["configuration", "open files", "database"]
    (fault,) = faults(done.stdout)
    assert re.match(rf"database: {said}", fault), fault


def test_of_several_hosts_the_one_that_takes_votes_is_examined(tmp_path: Path, server: Server) -> None:
    hosts = ["127.0.0.1:1", server.address["host"]]
    write(tmp_path, {"postgres": server.address | {"host": hosts, "database": "polls"}})

    done = command(tmp_path, "doctor", "--config=polls.yaml")

    assert (done.returncode, done.stderr) == (0, "")
    assert list(verdicts(done.stdout)) == SUBJECTS


def test_each_fault_of_the_configuration_is_a_line(tmp_path: Path) -> None:
    write(tmp_path, {"postgres": {"minsize": 9, "maxsize": 1}, "prot": 1})

    done = command(tmp_path, "doctor", "--config=polls.yaml")

    assert (done.returncode, done.stderr) == (2, "")
    assert faults(done.stdout) == [
        "configuration: polls.yaml:3: postgres.minsize: value can't be greater than maxsize",
        "configuration: polls.yaml:4: prot: unknown key; did you mean port?",
    ]


@pytest.mark.skipif(not FAKETIME, reason="libfaketime is not installed (on Debian: apt-get install libfaketime)")
def test_a_wrong_clock_is_found(tmp_path: Path, server: Server) -> None:
    write(tmp_path, {"postgres": server.address})

    done = command(tmp_path, "doctor", "--config=polls.yaml", LD_PRELOAD=FAKETIME, FAKETIME="-1d")

    assert done.returncode == 1
    (fault,) = faults(done.stdout)
    assert re.match(r"clock: this machine's is 86,(399|400|401) seconds behind the database's\..* by NTP$", fault)


@pytest.mark.parametrize(("most", "verdict"), [(512, "fault"), (4096, "note")])
def test_few_open_files_are_found(tmp_path: Path, most: int, verdict: str) -> None:
    write(tmp_path, {"postgres": {"host": "127.0.0.1", "port": 1}})

    done = subprocess.run(
        ["sh", "-c", f'ulimit -n {most} && exec "{sys.executable}" -m polls doctor --config=polls.yaml'],
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )

    assert verdicts(done.stdout)["open files"] == verdict, done.stderr
    assert f"up to {most:,}" in done.stdout


def test_a_schema_that_is_behind_is_found_and_one_that_is_ahead_is_told(tmp_path: Path, server: Server) -> None:
    write(tmp_path, {"postgres": server.address | {"migrate": False}})
    last = migrations.migrations()[-1].name
    server.execute(
        f"UPDATE migration SET name = '9999_of_tomorrow' WHERE name = '{last}'",
    )
    try:
        done = command(tmp_path, "doctor", "--config=polls.yaml")
        where_serving_migrates = found_wrong(address(server))
        server.execute("UPDATE migration SET hash = '' WHERE name LIKE '0001%'")
        edited = found_wrong(address(server))
    finally:
        hashes = {migration.name: migration.hash for migration in migrations.migrations()}
        server.execute(f"UPDATE migration SET name = '{last}' WHERE name = '9999_of_tomorrow'")
        for name, hash_ in hashes.items():
            server.execute(f"UPDATE migration SET hash = '{hash_}' WHERE name = '{name}'")

    assert done.returncode == 1
    assert faults(done.stdout) == [
        f"schema: {last} not applied, and postgres.migrate is off. Run `polls migrate`",
    ]
    assert "note  schema: 9999_of_tomorrow of a newer polls; this one goes on beside it" in done.stdout
    assert where_serving_migrates == []
    assert len(edited) == 1
    assert edited[0].startswith("schema: sql/0001_question_and_choice.sql was edited after it had been applied")


@pytest.mark.parametrize(
    ("harm", "subject", "said"),
    [
        ("DROP TABLE ballot", "schema", r"somebody has dropped .*: ballot\. Restore a backup into a new one"),
        (
            "ALTER TABLE question DISABLE TRIGGER USER",
            "schema",
            "triggers of the table question are disabled: .* ALTER TABLE question ENABLE TRIGGER USER",
        ),
        ("ALTER TABLE choice DISABLE TRIGGER ALL", "schema", ".* ALTER TABLE choice ENABLE TRIGGER ALL"),
        (
            "DROP TRIGGER choice_recounted ON choice",
            "schema",
            r"the trigger choice_recounted is missing: .* Make it anew, as sql/0003_notices\.sql says",
        ),
        ("DROP TABLE migration", "schema", r"somebody has dropped .*: migration\. Restore a backup into a new one"),
        ("ALTER TABLE ballot SET UNLOGGED", "schema", ".* ALTER TABLE ballot SET LOGGED"),
    ],
)
def test_what_was_taken_away_by_hand_is_found_and_said_when_polls_starts(
    tmp_path: Path, server: Server, harm: str, subject: str, said: str
) -> None:
    with empty_database(address(server), "harmed") as harmed:
        settings = write(tmp_path, {"postgres": server.address | {"database": harmed.database}})
        assert command(tmp_path, "migrate", f"--config={settings}").returncode == 0
        with connect(harmed) as connection, connection, connection.cursor() as cursor:
            cursor.execute(harm)

        (fault,) = found_wrong(harmed)
        assert re.match(f"{subject}: {said}", fault), fault

        told = fault.partition(": ")[2]
        if harm.startswith("DROP TABLE"):
            for words in (["--port=0"], ["verify"], ["backup", "x"]):
                done = command(tmp_path, *words, f"--config={settings}")
                assert (done.returncode, done.stderr) == (1, f"polls: {told}\n")
        else:
            with serving(tmp_path, config={"postgres": server.address | {"database": harmed.database}}) as polls:
                assert told in polls.log.read_text()


def test_what_operators_and_newer_versions_have_changed_is_no_harm(server: Server) -> None:
    with empty_database(address(server), "changed") as changed, connect(changed) as connection:
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

        assert found_wrong(changed) == []
        migrations.prepare(changed, connection)


def test_the_advice_for_unlogged_tables_can_be_followed(server: Server) -> None:
    with empty_database(address(server), "unlogged") as unlogged, connect(unlogged) as connection:
        migrations.migrate(unlogged, connection)
        with connection, connection.cursor() as cursor:
            cursor.execute("ALTER TABLE ballot SET UNLOGGED; ALTER TABLE question_words SET UNLOGGED")
            cursor.execute("ALTER TABLE choice SET UNLOGGED; ALTER TABLE question SET UNLOGGED")

        faults = found_wrong(unlogged)
        for fault in faults:
            with connection, connection.cursor() as cursor:
                cursor.execute(fault.rpartition(". ")[2])

        assert len(faults) == 4
        assert found_wrong(unlogged) == []


def test_a_role_that_may_too_little_is_found(tmp_path: Path, server: Server) -> None:
    reading = ["SELECT ON ALL TABLES IN SCHEMA public", "INSERT, UPDATE, DELETE ON choice"]
    with role(server, "a clerk", *reading) as clerk:
        write(tmp_path, {"postgres": {key: value for key, value in asdict(clerk).items() if value is not None}})
        done = command(tmp_path, "doctor", "--config=polls.yaml")
        lacking = faults(done.stdout)
        for table, words in re.findall(r"GRANT ([A-Z, ]+ ON public\.\w+) TO (\"a clerk\")", done.stdout):
            server.execute(f"GRANT {table} TO {words}")
        server.execute('GRANT CREATE ON SCHEMA public TO "a clerk"')
        granted = found_wrong(clerk)
        without_migrations = found_wrong(replace(clerk, migrate=False))
        server.execute("REVOKE USAGE ON SCHEMA public FROM public")
        try:
            shut_out = found_wrong(replace(clerk, migrate=False))
        finally:
            server.execute("GRANT USAGE ON SCHEMA public TO public")

    assert done.returncode == 1
    tables = ["account", "ballot", "history", "question", "question_words", "session", "sign_in_failure"]
    assert [fault.split(" on ")[1].split(".")[0] for fault in lacking[:-2]] == tables
    assert lacking[0] == (
        'permissions: "a clerk" may not INSERT, UPDATE on account. GRANT INSERT, UPDATE ON public.account TO "a clerk"'
    )
    assert '"a clerk" may not make tables, and postgres.migrate is on. GRANT CREATE ON SCHEMA public' in lacking[-2]
    assert '"a clerk" does not own account, ballot, choice, history, migration, question' in lacking[-1]
    assert [fault.split(",")[0] for fault in granted] == ['permissions: "a clerk" does not own account']
    assert without_migrations == []
    assert 'permissions: "a clerk" may use no schema. GRANT USAGE ON SCHEMA public TO "a clerk"' in shut_out


@pytest.mark.parametrize("arguments", [["--port=0"], ["verify"], ["admins"]])
def test_who_may_nothing_at_all_is_told_to_ask_doctor(tmp_path: Path, server: Server, arguments: list[str]) -> None:
    with role(server, "stranger"):
        write(tmp_path, {"postgres": server.address | {"user": "stranger"}})
        done = command(tmp_path, *arguments, "--config=polls.yaml")

    assert done.returncode == 1
    assert done.stderr == (
        "polls: PostgreSQL refused: permission denied for table migration. "
        "`polls doctor` tells what is wrong with the set-up\n"
    )


def test_too_few_connections_are_found(server: Server) -> None:
    assert found_wrong(address(server, maxsize=98)) == []
    (fault,) = found_wrong(address(server, maxsize=99))
    assert fault.startswith("connections: a process opens up to 101, and PostgreSQL lets 100 in. Raise max_connections")

    with role(server, "narrow", "ALL ON ALL TABLES IN SCHEMA public") as narrow:
        without_migrations = replace(narrow, migrate=False)
        assert found_wrong(without_migrations) == []
        assert "lets 97 in" in found_wrong(replace(without_migrations, maxsize=98))[0]
        server.execute("ALTER ROLE narrow CONNECTION LIMIT 6")
        assert "opens up to 7, and PostgreSQL lets 6 in" in found_wrong(without_migrations)[0]


def test_a_database_that_takes_no_votes_is_found(server: Server) -> None:
    server.execute("ALTER DATABASE polls SET default_transaction_read_only = on")
    try:
        (fault,) = found_wrong(address(server))
    finally:
        with server.connect("postgres") as connection, connection.cursor() as cursor:
            cursor.execute("ALTER DATABASE polls RESET ALL")

    assert fault.startswith("writing: this database is read-only, and takes no votes. Reset")


def test_a_version_that_is_too_old_is_found(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examination, "OLDEST", 99)

    (fault,) = found_wrong(address(server))

    assert re.fullmatch(r"version: PostgreSQL \d\d\S* .*is too old\. Upgrade it to 99 or later", fault)


def test_standbys_that_votes_wait_for_are_looked_for(server: Server, tmp_path: Path) -> None:
    def named(names: str, commit: str = "on") -> None:
        server.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
        server.execute(f"ALTER SYSTEM SET synchronous_commit = '{commit}'")
        server.execute("SELECT pg_reload_conf()")
        assert eventually(lambda: server.execute("SHOW synchronous_standby_names") == [(names,)])
        assert eventually(lambda: server.execute("SHOW synchronous_commit") == [(commit,)])

    try:
        named("far_away")
        lonely = found_wrong(address(server))
        named("far_away", "local")
        not_waited_for = found_wrong(address(server))
        named("far_away")
        with standby(server, tmp_path, "far_away"):
            assert eventually(lambda: found_wrong(address(server)) == [])
    finally:
        named("")

    assert lonely == [
        (
            "standbys: votes wait for far_away, and none of these is connected, so none is counted. "
            "Start one, or change synchronous_standby_names"
        )
    ]
    assert not_waited_for == [
        "standbys: votes don't wait for far_away, since synchronous_commit is local. Set it to on"
    ]


@contextmanager
def standby(server: Server, folder: Path, name: str) -> Iterator[None]:
    """Somebody who receives what the server writes, as a synchronous standby does, and says so."""
    where = server.address
    words = [
        *(server._binaries / "pg_receivewal", f"--directory={folder}", "--synchronous", "--no-loop"),
        f"--dbname=host={where['host']} port={where['port']} user={where['user']} application_name={name}",
    ]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def test_a_check_that_fails_itself_hides_no_other(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examination, "_NEEDED", {"question": ("DANCE",)})
    with empty_database(postgres, "doctor") as empty, connect(empty) as connection:
        migrations.migrate(empty, connection)
        found = list(examine(connection, empty))

    assert [str(finding) for finding in found if finding.subject == "permissions"] == [
        'fault permissions: it can\'t be looked at. PostgreSQL says: unrecognized privilege type: "DANCE"'
    ]
    assert found[-1].subject == "connections"
