"""`python -m polls` as an operator types it."""

import os
import re
import signal
import socket
import sys
import threading
import urllib.request
from dataclasses import asdict
from pathlib import Path

import pytest

from polls import __version__
from polls.config.settings import Postgres
from polls.storage.postgres import migrations
from polls.storage.postgres.connect import Connection
from tests.conftest import Ask
from tests.support.processes import command, eventually, serving, write

COMMANDS = [
    "serve",
    "check",
    "migrate",
    "doctor",
    "sample",
    "verify",
    "backup",
    "restore",
    "createadmin",
    "changepassword",
    "admins",
    "psql",
]

ALL = [migration.name for migration in migrations.migrations()]


@pytest.fixture
def named(postgres: Postgres, database: Connection) -> dict[str, object]:  # noqa: ARG001 - it is emptied
    """Settings with the tests' server in them, as one that somebody else looks after."""
    settings = {key: value for key, value in asdict(postgres).items() if value is not None}
    return {"postgres": settings | {"minsize": 1, "maxsize": 2}}


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as response:
        return str(response.read().decode())


def test_help_names_every_command_and_option(tmp_path: Path) -> None:
    done = command(tmp_path, "--help")

    assert done.returncode == 0
    for word in [*COMMANDS, "--config", "--host", "--port", "--path", "--metrics"]:
        assert word in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help(tmp_path: Path, name: str) -> None:
    done = command(tmp_path, name, "--help")

    assert done.returncode == 0
    assert "--config" in done.stdout


def test_it_tells_its_version(tmp_path: Path) -> None:
    assert command(tmp_path, "--version").stdout == f"polls {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--prot", "1"],
        ["--conf", "x"],
        ["dance"],
        ["--port", "x"],
        ["--port", "70000"],
        ["--port", "-1"],
        ["--metrics", "x"],
        ["check", "--plan"],
        ["--development", "--host", "0.0.0.0"],
    ],
)
def test_a_mistaken_command_line_is_refused(tmp_path: Path, arguments: list[str]) -> None:
    done = command(tmp_path, *arguments)

    assert done.returncode == 2
    assert "usage: polls" in done.stderr


def test_check_finds_no_fault_in_the_default(tmp_path: Path) -> None:
    done = command(tmp_path, "check")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("polls.yaml: no faults\n")


@pytest.mark.parametrize("arguments", [["check"], [], ["migrate"], ["sample"]])
def test_a_broken_file_is_told_fault_by_fault_with_status_2(tmp_path: Path, arguments: list[str]) -> None:
    write(tmp_path, {"postgres": {"minsize": 9, "maxsize": 1}, "prot": 1})

    done = command(tmp_path, *arguments, "--config=polls.yaml")

    assert done.returncode == 2
    assert done.stderr == (
        "polls.yaml:3: postgres.minsize: value can't be greater than maxsize\n"
        "polls.yaml:4: prot: unknown key; did you mean port?\n"
    )


def test_a_file_that_cannot_be_read_has_status_2(tmp_path: Path) -> None:
    assert command(tmp_path, "check", "--config=gone.yaml").returncode == 2


def test_the_environment_may_name_the_file(tmp_path: Path) -> None:
    write(tmp_path, {})

    assert command(tmp_path, "check", POLLS_CONFIG="polls.yaml").stderr == "polls.yaml:1: postgres: is required\n"


def test_options_work_before_and_after_the_command(tmp_path: Path) -> None:
    write(tmp_path, {"postgres": {}})

    before = command(tmp_path, "--config", "polls.yaml", "check")
    after = command(tmp_path, "check", "--config", "polls.yaml")

    assert before.stdout == after.stdout == "polls.yaml: no faults\n"


def test_it_serves_the_named_database_at_the_port_of_the_command_line(
    tmp_path: Path, named: dict[str, object], ask: Ask
) -> None:
    ask("Tea?", "Yes")

    with serving(tmp_path, config=named | {"port": 1}) as polls:
        assert "Tea?" in get(polls.url)
        assert polls.announcement == f"polls is ready at {polls.url} (Ctrl-C ends it)"


def test_it_serves_a_unix_socket_and_removes_it_at_the_end(tmp_path: Path, named: dict[str, object]) -> None:
    path = tmp_path / "polls.sock"
    with serving(tmp_path, f"--path={path}", config=named) as polls:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert client.recv(1000).startswith(b"HTTP/1.0 200 OK")
        assert polls.announcement == f"polls is ready on the socket {path} (Ctrl-C ends it)"
        assert polls.end() == 0

    assert not path.exists()


def test_who_was_on_the_way_when_the_end_came_is_answered(tmp_path: Path, named: dict[str, object]) -> None:
    """A proxy has connected already, and says what it wants when the socket's name is gone."""

    def is_answered() -> bool:
        path = tmp_path / "polls.sock"
        with serving(tmp_path, f"--path={path}", config=named) as polls, socket.socket(socket.AF_UNIX) as proxy:
            proxy.connect(str(path))
            polls.process.terminate()
            assert eventually(lambda: not path.exists())
            try:
                proxy.sendall(b"GET / HTTP/1.1\r\nHost: polls\r\n\r\n")
                return proxy.recv(1000).startswith(b"HTTP/1.1 200 OK")
            except ConnectionError:
                return False

    # Polls waits for a fifth of a second, which a busy machine may let pass.
    assert any(is_answered() for _ in range(3))


def test_it_takes_over_the_socket_of_a_process_that_was_killed(tmp_path: Path, named: dict[str, object]) -> None:
    path = tmp_path / "polls.sock"
    with serving(tmp_path, f"--path={path}", config=named) as killed:
        killed.end(signal.SIGKILL)
    assert path.exists()

    with serving(tmp_path, f"--path={path}", config=named) as polls:
        in_use = command(tmp_path, "--config=polls.yaml", f"--path={path}")
        assert polls.end() == 0

    assert (in_use.returncode, in_use.stderr) == (
        1,
        f"polls: can't listen on {path}: another process serves it. Choose another with --path\n",
    )


def test_a_file_is_not_overwritten_by_a_socket(tmp_path: Path, named: dict[str, object]) -> None:
    write(tmp_path, named)

    done = command(tmp_path, "--config=polls.yaml", "--path=polls.yaml")

    assert done.returncode == 1
    assert "there is a file of that name" in done.stderr
    assert (tmp_path / "polls.yaml").is_file()


def test_localhost_is_an_address_like_any_other(tmp_path: Path, named: dict[str, object]) -> None:
    with serving(tmp_path, "--host=localhost", config=named) as polls:
        assert "No polls are available." in get(polls.url)


def test_a_port_in_use_is_said_in_one_line(tmp_path: Path, named: dict[str, object]) -> None:
    write(tmp_path, named)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        done = command(tmp_path, "--config=polls.yaml", f"--port={port}")

    assert (done.returncode, done.stderr) == (
        1,
        (
            f"polls: can't listen on 127.0.0.1:{port}: Address already in use. "
            "End what listens there, or choose another with --port\n"
        ),
    )


def test_a_host_that_does_not_exist_is_said_in_one_line(tmp_path: Path, named: dict[str, object]) -> None:
    write(tmp_path, named)

    done = command(tmp_path, "--config=polls.yaml", "--host=nowhere.invalid")

    assert done.returncode == 1
    assert done.stderr.startswith("polls: there is no address 'nowhere.invalid'")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["migrate"], ["sample"]])
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"host": "127.0.0.1", "port": 1}, "can't reach PostgreSQL: .*Connection refused"),
        ({"host": "nowhere.invalid"}, "can't reach PostgreSQL: could not translate host name"),
        ({"database": "nowhere"}, "the database nowhere does not exist on this PostgreSQL server. Create it: createdb"),
        ({"user": "nobody-here"}, 'can\'t reach PostgreSQL: .*role "nobody-here" does not exist'),
    ],
)
def test_what_is_wrong_with_the_database_is_said_in_one_line(
    tmp_path: Path, named: dict[str, dict[str, object]], settings: dict[str, object], said: str, arguments: list[str]
) -> None:
    write(tmp_path, {"postgres": named["postgres"] | settings})

    done = command(tmp_path, "--config=polls.yaml", *arguments, *([] if arguments else ["--port=0"]))

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert re.match(f"polls: {said}", done.stderr), done.stderr


def last_line(text: str) -> str:
    return text.splitlines()[-1]


def test_a_server_with_too_few_connections_is_said_in_one_line(
    tmp_path: Path, named: dict[str, dict[str, object]]
) -> None:
    write(tmp_path, {"postgres": named["postgres"] | {"minsize": 300, "maxsize": 300}})

    done = command(tmp_path, "--config=polls.yaml", "--port=0")

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert re.fullmatch(r"polls: can't reach PostgreSQL: .*too many clients already\. Check.*", last_line(done.stderr))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_request_in_flight_is_finished_before_the_end(
    tmp_path: Path, named: dict[str, object], ask: Ask, database: Connection, how: signal.Signals
) -> None:
    ask("Tea?", "Yes")
    answers: list[str] = []
    with serving(tmp_path, config=named) as polls:
        database.autocommit = False
        with database.cursor() as cursor:
            cursor.execute("LOCK TABLE question")
            visitor = threading.Thread(target=lambda: answers.append(get(f"{polls.url}/poll/1")))
            visitor.start()
            assert eventually(lambda: waiting(database))

            polls.process.send_signal(how)
            assert eventually(lambda: refused(polls.url))
            database.rollback()

        visitor.join()
        assert polls.process.wait(10) == 0
    assert "Tea?" in answers[0]
    assert "Traceback" not in polls.log.read_text()


def waiting(database: Connection) -> bool:
    with database.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return (cursor.fetchone() or (0,))[0] > 0


def refused(url: str) -> bool:
    host, port = url.removeprefix("http://").split(":")
    with socket.socket() as attempt:
        return attempt.connect_ex((host, int(port))) != 0


def test_the_access_log_is_on_by_default_and_can_be_switched_off(tmp_path: Path, named: dict[str, object]) -> None:
    with serving(tmp_path, config=named) as polls:
        get(f"{polls.url}/?page=1")
        polls.end()
    assert "GET / 200" in polls.log.read_text()

    with serving(tmp_path, config=named | {"log": {"access": False}}) as polls:
        get(polls.url)
        polls.end()
    assert "GET" not in polls.log.read_text()


@pytest.mark.parametrize(
    "request_lines",
    [
        b"GET /?token=SECRET\xff HTTP/1.1\r\nHost: polls",
        b"GET / HTTP/1.1\r\nHost: polls\r\nCookie: session=SECRET\x01",
        b"SECRET / HTTP/1.1\r\nHost: polls",
        (
            b"POST /poll/1/vote?SECRET HTTP/1.1\r\nHost: polls\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            b"Content-Encoding: gzip\r\nContent-Length: 6\r\n\r\nSECRET"
        ),
    ],
)
def test_what_is_no_http_is_logged_in_a_line_that_tells_nothing_of_the_visitor(
    tmp_path: Path, named: dict[str, object], request_lines: bytes
) -> None:
    with serving(tmp_path, config=named) as polls:
        host, port = polls.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(request_lines + b"\r\nConnection: close\r\n\r\n")
            assert client.recv(1000).split()[1] == b"400"
        polls.end()

    log = polls.log.read_text()
    assert "400" in log
    for secret in ("SECRET", "127.0.0.1", "Traceback"):
        assert secret not in log


def test_migrate_plans_applies_and_lists(tmp_path: Path) -> None:
    write(tmp_path, {"postgres": {"embedded": "data"}})

    plan = command(tmp_path, "migrate", "--plan", "--config=polls.yaml")
    listed_before = command(tmp_path, "migrate", "--list", "--config=polls.yaml")
    first = command(tmp_path, "migrate", "--config=polls.yaml")
    second = command(tmp_path, "migrate", "--config=polls.yaml")
    listed_after = command(tmp_path, "migrate", "--list", "--config=polls.yaml")

    assert "-- sql/0001_question_and_choice.sql" in plan.stdout
    assert "CREATE TABLE question" in plan.stdout
    assert listed_before.stdout == "".join(f"{name}  pending\n" for name in ALL)
    assert first.stdout == "".join(f"applied {name}\n" for name in ALL)
    assert second.stdout == "nothing to apply: the schema is up to date\n"
    assert listed_after.stdout.startswith("0001_question_and_choice  applied 20")


def test_a_schema_that_is_behind_is_refused_where_serving_does_not_migrate(tmp_path: Path) -> None:
    write(tmp_path, {"postgres": {"embedded": "data", "migrate": False}})

    refused = command(tmp_path, "--config=polls.yaml", "--port=0")
    migrated = command(tmp_path, "migrate", "--config=polls.yaml")

    assert refused.returncode == 1
    assert refused.stderr == (
        f"polls: the database lacks {', '.join(ALL)}. Run `python -m polls migrate` with the same --config\n"
    )
    assert migrated.returncode == 0
    with serving(tmp_path, "--config=polls.yaml") as polls:
        get(polls.url)


def test_sample_loads_the_sample_polls_once(tmp_path: Path, named: dict[str, object], database: Connection) -> None:
    write(tmp_path, named)

    for _ in range(2):
        assert command(tmp_path, "sample", "--config=polls.yaml").returncode == 0

    with database.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM question")
        assert cursor.fetchone() == (3,)


def test_psql_opens_a_shell_on_the_configured_database(tmp_path: Path, named: dict[str, object], ask: Ask) -> None:
    ask("Tea?", "Yes")
    write(tmp_path, named)

    done = command(tmp_path, "psql", "--config=polls.yaml", "--", "-tAc", "SELECT question_text FROM question")

    assert (done.returncode, done.stdout) == (0, "Tea?\n"), done.stderr


def test_development_is_for_this_machine_only(tmp_path: Path, named: dict[str, object]) -> None:
    with serving(tmp_path, "--development", config=named | {"host": "0.0.0.0"}) as polls:
        assert polls.url.startswith("http://127.0.0.1:")
        assert "phones" not in polls.announcement
        get(polls.url)
        polls.end()
    assert "SELECT question.id" in polls.log.read_text()


def test_the_command_is_installed_as_polls_too() -> None:
    assert os.access(Path(sys.executable).with_name("polls"), os.X_OK)
