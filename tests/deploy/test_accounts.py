"""Accounts on the command line."""

import os
import pty
import select
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from polls.config.settings import Postgres
from polls.storage.postgres.connect import Connection
from tests.support.processes import TIMEOUT, command, write

PASSWORD = "correct horse battery"


@pytest.fixture
def settings(tmp_path: Path, postgres: Postgres, database: Connection) -> Path:  # noqa: ARG001 - it empties the database
    """A folder with a configuration for the tests' server."""
    settings = {key: value for key, value in asdict(postgres).items() if value is not None}
    write(tmp_path, {"postgres": settings | {"minsize": 1, "maxsize": 2}})
    return tmp_path


def polls(folder: Path, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return command(folder, *arguments, "--config=polls.yaml", typed=typed)


def in_terminal(folder: Path, *arguments: str, typed: list[tuple[str, str]]) -> tuple[int, str]:
    """Type each answer at its prompt; return the exit status and the terminal's output."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.execv(sys.executable, [sys.executable, "-m", "polls", *arguments, "--config=polls.yaml"])
    output = ""
    for prompt, answer in typed:
        start = len(output)
        while prompt not in output[start:]:
            assert select.select([terminal], [], [], TIMEOUT)[0], output
            output += os.read(terminal, 1000).decode()
        os.write(terminal, f"{answer}\n".encode() if answer != "^D" else b"\x04")
    while select.select([terminal], [], [], TIMEOUT)[0]:
        try:
            output += os.read(terminal, 1000).decode()
        except OSError:  # the other end is closed
            break
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), output


def usernames(database: Connection) -> list[str]:
    with database.cursor() as cursor:
        cursor.execute("SELECT username FROM account ORDER BY id")
        return [name for (name,) in cursor.fetchall()]


def test_createadmin_asks_for_the_password_twice_without_echo(settings: Path, database: Connection) -> None:
    status, output = in_terminal(
        settings,
        "createadmin",
        "--username",
        "Ada",
        typed=[("Password for Ada: ", PASSWORD), ("Repeat the password: ", PASSWORD)],
    )

    assert status == 0
    assert PASSWORD not in output
    assert "created the account ada, which can sign in at /admin/" in output
    assert usernames(database) == ["ada"]


def test_an_invalid_or_mistyped_password_is_asked_for_again(settings: Path, database: Connection) -> None:
    status, output = in_terminal(
        settings,
        "createadmin",
        typed=[
            ("User name (", "ada"),
            ("Password for ada: ", "short"),
            ("Password for ada: ", "password1"),
            ("Password for ada: ", PASSWORD),
            ("Repeat the password: ", "something else"),
            ("Password for ada: ", PASSWORD),
            ("Repeat the password: ", PASSWORD),
        ],
    )

    assert status == 0
    for message in ("at least 8 characters", "too common", "The passwords differ."):
        assert message in output
    assert usernames(database) == ["ada"]


@pytest.mark.parametrize(("user", "proposed"), [("root", "admin"), ("Ada", "ada")])
def test_createadmin_proposes_the_name_of_a_person(
    settings: Path, monkeypatch: pytest.MonkeyPatch, user: str, proposed: str
) -> None:
    monkeypatch.setenv("LOGNAME", user)  # getpass.getuser() reads it first

    _, output = in_terminal(settings, "createadmin", typed=[("User name (", "^D")])

    assert f"User name ({proposed}): " in output


def test_end_of_input_at_a_prompt_fails_without_a_traceback(settings: Path, database: Connection) -> None:
    status, output = in_terminal(settings, "createadmin", "--username=ada", typed=[("Password for ada: ", "^D")])

    assert (status, "polls: no input" in output, "Traceback" in output) == (1, True, False)
    assert usernames(database) == []


def test_a_password_that_is_not_utf8_is_refused(settings: Path, database: Connection) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "polls", "createadmin", "--username=ada", "--password-stdin", "--config=polls.yaml"],
        cwd=settings,
        input=PASSWORD.encode() + b"\xff\n",
        capture_output=True,
        check=False,
    )

    assert (result.returncode, result.stderr) == (1, b"polls: the password on standard input is not UTF-8 text\n")
    assert usernames(database) == []


def test_a_script_can_pass_the_password_on_standard_input(settings: Path, database: Connection) -> None:
    result = polls(settings, "createadmin", "--username=ada", "--password-stdin", typed=f"{PASSWORD}\n")

    assert (result.returncode, result.stderr) == (0, "")
    assert usernames(database) == ["ada"]
    with database.cursor() as cursor:
        cursor.execute("SELECT actor, deed, subject FROM history")
        assert cursor.fetchall() == [("command line", "account added", "account:ada")]


@pytest.mark.parametrize(
    ("arguments", "typed", "message"),
    [
        (["createadmin", "--username=ada"], "", "standard input is not a terminal"),
        (["createadmin"], "", "use --username NAME"),
        (["createadmin", "--username=ada", "--password-stdin"], "", "at least 8 characters"),
        (["createadmin", "--username=ada", "--password-stdin"], "password1\n", "too common"),
        (["createadmin", "--username=a b", "--password-stdin"], PASSWORD, "a user name consists of letters"),
        (["changepassword", "ada", "--password-stdin"], PASSWORD, "no such account"),
        (["changepassword", "ada"], "", "standard input is not a terminal"),
    ],
)
def test_a_failure_is_reported_in_one_line_with_status_1(
    settings: Path, database: Connection, arguments: list[str], typed: str, message: str
) -> None:
    result = polls(settings, *arguments, typed=typed)

    assert result.returncode == 1
    assert message in result.stderr
    assert result.stderr.startswith("polls: ")
    assert result.stderr.count("\n") == 1
    assert usernames(database) == []


def test_a_user_name_is_unique(settings: Path, database: Connection) -> None:
    for name in ("ada", "ADA"):
        result = polls(settings, "createadmin", f"--username={name}", "--password-stdin", typed=PASSWORD)

    assert (result.returncode, "an account with that name exists" in result.stderr) == (1, True)
    assert usernames(database) == ["ada"]


def test_a_forgotten_password_is_replaced_and_its_sessions_end(settings: Path, database: Connection) -> None:
    polls(settings, "createadmin", "--username=ada", "--password-stdin", typed=PASSWORD)
    with database.cursor() as cursor:
        cursor.execute("INSERT INTO session (token_hash, account_id) SELECT 'x', id FROM account RETURNING account_id")
        cursor.execute("SELECT password_hash FROM account")
        before = cursor.fetchone()

        result = polls(settings, "changepassword", "Ada", "--password-stdin", typed="another horse battery\n")

        assert result.returncode == 0
        cursor.execute("SELECT password_hash FROM account")
        assert cursor.fetchone() != before
        cursor.execute("SELECT count(*) FROM session")
        assert cursor.fetchone() == (0,)


def test_admins_are_listed(settings: Path, database: Connection) -> None:
    assert "no accounts yet" in polls(settings, "admins").stdout
    for name in ("bob", "ada"):
        polls(settings, "createadmin", f"--username={name}", "--password-stdin", typed=PASSWORD)
    with database.cursor() as cursor:
        cursor.execute("UPDATE account SET disabled_at = now() WHERE username = 'bob'")

    lines = polls(settings, "admins").stdout.splitlines()

    assert [line.split()[:2] for line in lines] == [["ada", "enabled"], ["bob", "disabled"]]
