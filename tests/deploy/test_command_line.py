"""The command line of `python -m polls`."""

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
from tests.conftest import CreatePoll
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

MIGRATIONS = [migration.name for migration in migrations.migrations()]


@pytest.fixture
def config(postgres: Postgres, database: Connection) -> dict[str, object]:  # noqa: ARG001 - it empties the database
    """Settings that name the tests' server."""
    settings = {key: value for key, value in asdict(postgres).items() if value is not None}
    return {"postgres": settings | {"minsize": 1, "maxsize": 2}}


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as response:
        return str(response.read().decode())


def test_help_lists_every_command_and_option(tmp_path: Path) -> None:
    result = command(tmp_path, "--help")

    assert result.returncode == 0
    for word in [*COMMANDS, "--config", "--host", "--port", "--path", "--metrics"]:
        assert word in result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help(tmp_path: Path, name: str) -> None:
    result = command(tmp_path, name, "--help")

    assert result.returncode == 0
    assert "--config" in result.stdout


def test_version_is_printed(tmp_path: Path) -> None:
    assert command(tmp_path, "--version").stdout == f"polls {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--prot", "8"], "unknown option --prot; did you mean --port?"),
        (["--config", "x.yaml", "--prot=8", "check"], "unknown option --prot; did you mean --port?"),
        (["-p", "8"], "unknown option -p"),
        (["--force", "backup", "x"], "unknown option --force"),
        (["8"], "argument COMMAND: invalid choice: '8' (choose from"),
        (["verify", "--pol", "8"], "unrecognized arguments: --pol 8"),
    ],
)
def test_what_is_wrong_in_a_command_line_is_named(tmp_path: Path, arguments: list[str], message: str) -> None:
    result = command(tmp_path, *arguments)

    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith(f"polls: error: {message}")


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
def test_an_invalid_command_line_is_refused(tmp_path: Path, arguments: list[str]) -> None:
    result = command(tmp_path, *arguments)

    assert result.returncode == 2
    assert "usage: polls" in result.stderr


def test_check_finds_no_errors_in_the_default_configuration(tmp_path: Path) -> None:
    result = command(tmp_path, "check")

    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.endswith("polls.yaml: no errors\n")


@pytest.mark.parametrize("arguments", [["check"], [], ["migrate"], ["sample"]])
def test_all_errors_in_a_file_are_reported_with_status_2(tmp_path: Path, arguments: list[str]) -> None:
    write(tmp_path, {"postgres": {"minsize": 9, "maxsize": 1}, "prot": 1})

    result = command(tmp_path, *arguments, "--config=polls.yaml")

    assert result.returncode == 2
    assert result.stderr == (
        "polls.yaml:3: postgres.minsize: value can't be greater than maxsize\n"
        "polls.yaml:4: prot: unknown key; did you mean port?\n"
    )


def test_a_file_that_cannot_be_read_has_status_2(tmp_path: Path) -> None:
    assert command(tmp_path, "check", "--config=missing.yaml").returncode == 2


def test_the_environment_can_name_the_file(tmp_path: Path) -> None:
    write(tmp_path, {})

    assert command(tmp_path, "check", POLLS_CONFIG="polls.yaml").stderr == "polls.yaml:1: postgres: is required\n"


def test_options_work_before_and_after_the_command(tmp_path: Path) -> None:
    write(tmp_path, {"postgres": {}})

    before = command(tmp_path, "--config", "polls.yaml", "check")
    after = command(tmp_path, "check", "--config", "polls.yaml")

    assert before.stdout == after.stdout == "polls.yaml: no errors\n"


def test_serve_uses_the_configured_database_and_the_port_of_the_command_line(
    tmp_path: Path, config: dict[str, object], create_poll: CreatePoll
) -> None:
    create_poll("Tea?", "Yes")

    with serving(tmp_path, config=config | {"port": 1}) as polls:
        assert "Tea?" in get(polls.url)
        assert polls.announcement == f"polls is ready at {polls.url} (press Ctrl-C to stop)"


def test_serve_says_that_there_is_no_account_until_there_is_one(tmp_path: Path, config: dict[str, object]) -> None:
    def start() -> str:
        with serving(tmp_path, config=config) as polls:
            assert polls.process.stdout is not None
            get(f"{polls.url}/healthz")
            polls.end()
            return polls.process.stdout.read()

    assert start() == "no account yet: polls createadmin\n"

    created = command(
        tmp_path,
        "--config=polls.yaml",
        "createadmin",
        "--username=ada",
        "--password-stdin",
        typed="correct horse bat\n",
    )
    assert created.returncode == 0, created.stderr
    assert start() == ""


def test_serve_listens_on_a_unix_socket_and_removes_it_at_the_end(tmp_path: Path, config: dict[str, object]) -> None:
    path = tmp_path / "polls.sock"
    with serving(tmp_path, f"--path={path}", config=config) as polls:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert client.recv(1000).startswith(b"HTTP/1.0 200 OK")
        assert polls.announcement == f"polls is ready on the socket {path} (press Ctrl-C to stop)"
        assert polls.end() == 0

    assert not path.exists()


def test_a_client_that_connected_before_the_shutdown_is_served(tmp_path: Path, config: dict[str, object]) -> None:
    """A proxy connects, and sends its request after the path of the socket is removed."""

    def is_served() -> bool:
        path = tmp_path / "polls.sock"
        with serving(tmp_path, f"--path={path}", config=config) as polls, socket.socket(socket.AF_UNIX) as proxy:
            proxy.connect(str(path))
            polls.process.terminate()
            assert eventually(lambda: not path.exists())
            try:
                proxy.sendall(b"GET / HTTP/1.1\r\nHost: polls\r\n\r\n")
                return proxy.recv(1000).startswith(b"HTTP/1.1 200 OK")
            except ConnectionError:
                return False

    # polls waits for only a fifth of a second, and the machine may be busy.
    assert any(is_served() for _ in range(3))


def test_serve_replaces_the_socket_of_a_killed_process(tmp_path: Path, config: dict[str, object]) -> None:
    path = tmp_path / "polls.sock"
    with serving(tmp_path, f"--path={path}", config=config) as killed:
        killed.end(signal.SIGKILL)
    assert path.exists()

    with serving(tmp_path, f"--path={path}", config=config) as polls:
        in_use = command(tmp_path, "--config=polls.yaml", f"--path={path}")
        assert polls.end() == 0

    assert (in_use.returncode, in_use.stderr) == (
        1,
        f"polls: can't listen on {path}: another process is listening on it. Choose another path with --path\n",
    )


def test_a_file_is_not_overwritten_by_a_socket(tmp_path: Path, config: dict[str, object]) -> None:
    write(tmp_path, config)

    result = command(tmp_path, "--config=polls.yaml", "--path=polls.yaml")

    assert result.returncode == 1
    assert "a file with that name exists" in result.stderr
    assert (tmp_path / "polls.yaml").is_file()


def test_serve_listens_on_localhost(tmp_path: Path, config: dict[str, object]) -> None:
    with serving(tmp_path, "--host=localhost", config=config) as polls:
        assert "There are no polls yet." in get(polls.url)


def test_a_port_in_use_is_reported_in_one_line(tmp_path: Path, config: dict[str, object]) -> None:
    write(tmp_path, config)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        result = command(tmp_path, "--config=polls.yaml", f"--port={port}")

    assert (result.returncode, result.stderr) == (
        1,
        (
            f"polls: can't listen on 127.0.0.1:{port}: Address already in use. "
            "Stop the process that listens there, or choose another port with --port\n"
        ),
    )


def test_an_unknown_host_is_reported_in_one_line(tmp_path: Path, config: dict[str, object]) -> None:
    write(tmp_path, config)

    result = command(tmp_path, "--config=polls.yaml", "--host=nowhere.invalid")

    assert result.returncode == 1
    assert result.stderr.startswith("polls: host 'nowhere.invalid' has no address")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["migrate"], ["sample"]])
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"host": "127.0.0.1", "port": 1}, "can't reach PostgreSQL: .*Connection refused"),
        ({"host": "nowhere.invalid"}, "can't reach PostgreSQL: could not translate host name"),
        ({"database": "nowhere"}, "the database nowhere does not exist on this PostgreSQL server. Create it: createdb"),
        ({"user": "unknown-role"}, 'can\'t reach PostgreSQL: .*role "unknown-role" does not exist'),
    ],
)
def test_an_unusable_database_is_reported_in_one_line(
    tmp_path: Path,
    config: dict[str, dict[str, object]],
    settings: dict[str, object],
    message: str,
    arguments: list[str],
) -> None:
    write(tmp_path, {"postgres": config["postgres"] | settings})

    result = command(tmp_path, "--config=polls.yaml", *arguments, *([] if arguments else ["--port=0"]))

    assert result.returncode == 1
    assert result.stderr.count("\n") == 1, result.stderr
    assert re.match(f"polls: {message}", result.stderr), result.stderr


def last_line(text: str) -> str:
    return text.splitlines()[-1]


def test_a_server_with_too_few_connections_is_reported_in_one_line(
    tmp_path: Path, config: dict[str, dict[str, object]]
) -> None:
    write(tmp_path, {"postgres": config["postgres"] | {"minsize": 300, "maxsize": 300}})

    result = command(tmp_path, "--config=polls.yaml", "--port=0")

    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert re.fullmatch(
        r"polls: can't reach PostgreSQL: .*too many clients already\. All connections .*", last_line(result.stderr)
    )


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_request_in_flight_is_finished_before_the_process_ends(
    tmp_path: Path, config: dict[str, object], create_poll: CreatePoll, database: Connection, signum: signal.Signals
) -> None:
    create_poll("Tea?", "Yes")
    answers: list[str] = []
    with serving(tmp_path, config=config) as polls:
        database.autocommit = False
        with database.cursor() as cursor:
            cursor.execute("LOCK TABLE question")
            visitor = threading.Thread(target=lambda: answers.append(get(f"{polls.url}/poll/1")))
            visitor.start()
            assert eventually(lambda: is_lock_awaited(database))

            polls.process.send_signal(signum)
            assert eventually(lambda: refuses_connections(polls.url))
            database.rollback()

        visitor.join()
        assert polls.process.wait(10) == 0
    assert "Tea?" in answers[0]
    assert "Traceback" not in polls.log.read_text()


def is_lock_awaited(database: Connection) -> bool:
    with database.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return (cursor.fetchone() or (0,))[0] > 0


def refuses_connections(url: str) -> bool:
    host, port = url.removeprefix("http://").split(":")
    with socket.socket() as client:
        return client.connect_ex((host, int(port))) != 0


def test_the_access_log_is_on_by_default_and_can_be_turned_off(tmp_path: Path, config: dict[str, object]) -> None:
    with serving(tmp_path, config=config) as polls:
        get(f"{polls.url}/?page=1")
        polls.end()
    assert "GET / 200" in polls.log.read_text()

    with serving(tmp_path, config=config | {"log": {"access": False}}) as polls:
        get(polls.url)
        polls.end()
    assert "GET" not in polls.log.read_text()


@pytest.mark.parametrize(
    "request_lines",
    [
        b"GET /?token=SECRET\xff HTTP/1.1\r\nHost: polls",
        b"GET / HTTP/1.1\r\nHost: polls\r\nCookie: polls_session=SECRET\x01",
        b"SECRET / HTTP/1.1\r\nHost: polls",
    ],
)
def test_an_invalid_request_is_logged_without_its_content_and_client_address(
    tmp_path: Path, config: dict[str, object], request_lines: bytes
) -> None:
    with serving(tmp_path, config=config) as polls:
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
    assert listed_before.stdout == "".join(f"{name}  pending\n" for name in MIGRATIONS)
    assert first.stdout == "".join(f"applied {name}\n" for name in MIGRATIONS)
    assert second.stdout == "nothing to apply: the schema is up to date\n"
    assert listed_after.stdout.startswith("0001_question_and_choice  applied 20")


def test_serve_refuses_an_old_schema_if_it_may_not_migrate(tmp_path: Path) -> None:
    write(tmp_path, {"postgres": {"embedded": "data", "migrate": False}})

    refused = command(tmp_path, "--config=polls.yaml", "--port=0")
    migrated = command(tmp_path, "migrate", "--config=polls.yaml")

    assert refused.returncode == 1
    assert refused.stderr == (
        f"polls: the database lacks {', '.join(MIGRATIONS)}. Run `python -m polls migrate` with the same --config\n"
    )
    assert migrated.returncode == 0
    with serving(tmp_path, "--config=polls.yaml") as polls:
        get(polls.url)


def test_sample_polls_are_loaded_once(tmp_path: Path, config: dict[str, object], database: Connection) -> None:
    write(tmp_path, config)

    for _ in range(2):
        assert command(tmp_path, "sample", "--config=polls.yaml").returncode == 0

    with database.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM question")
        assert cursor.fetchone() == (6,)


def test_psql_runs_on_the_configured_database(
    tmp_path: Path, config: dict[str, object], create_poll: CreatePoll
) -> None:
    create_poll("Tea?", "Yes")
    write(tmp_path, config)

    result = command(tmp_path, "psql", "--config=polls.yaml", "--", "-tAc", "SELECT question_text FROM question")

    assert (result.returncode, result.stdout) == (0, "Tea?\n"), result.stderr


def test_development_mode_listens_on_this_machine_only(tmp_path: Path, config: dict[str, object]) -> None:
    with serving(tmp_path, "--development", config=config | {"host": "0.0.0.0"}) as polls:
        assert polls.url.startswith("http://127.0.0.1:")
        assert "phones" not in polls.announcement
        get(polls.url)
        polls.end()
    assert "SELECT question.id" in polls.log.read_text()


def test_the_command_polls_is_installed() -> None:
    assert os.access(Path(sys.executable).with_name("polls"), os.X_OK)
