"""Accounts from the command line, as an operator makes them."""

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
def settings(tmp_path: Path, postgres: Postgres, database: Connection) -> Path:  # noqa: ARG001 - it is emptied
    """A folder with a configuration that names the tests' server."""
    named = {key: value for key, value in asdict(postgres).items() if value is not None}
    write(tmp_path, {"postgres": named | {"minsize": 1, "maxsize": 2}})
    return tmp_path


def polls(folder: Path, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return command(folder, *arguments, "--config=polls.yaml", typed=typed)


def at_a_terminal(folder: Path, *arguments: str, typed: list[tuple[str, str]]) -> tuple[int, str]:
    """Type each answer when its question is asked; return the exit status, and all that the terminal showed."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.execv(sys.executable, [sys.executable, "-m", "polls", *arguments, "--config=polls.yaml"])
    shown = ""
    for question, answer in typed:
        already = len(shown)
        while question not in shown[already:]:
            assert select.select([terminal], [], [], TIMEOUT)[0], shown
            shown += os.read(terminal, 1000).decode()
        os.write(terminal, f"{answer}\n".encode() if answer != "^D" else b"\x04")
    while select.select([terminal], [], [], TIMEOUT)[0]:
        try:
            shown += os.read(terminal, 1000).decode()
        except OSError:  # the other end is closed
            break
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), shown


def usernames(database: Connection) -> list[str]:
    with database.cursor() as cursor:
        cursor.execute("SELECT username FROM account ORDER BY id")
        return [name for (name,) in cursor.fetchall()]


def test_the_first_admin_types_the_password_twice_and_it_is_never_shown(settings: Path, database: Connection) -> None:
    status, shown = at_a_terminal(
        settings,
        "createadmin",
        "--username",
        "Ada",
        typed=[("Password for Ada: ", PASSWORD), ("The same again: ", PASSWORD)],
    )

    assert status == 0
    assert PASSWORD not in shown
    assert "ada can sign in now, at /admin/" in shown
    assert usernames(database) == ["ada"]


def test_what_is_mistyped_is_asked_again(settings: Path, database: Connection) -> None:
    status, shown = at_a_terminal(
        settings,
        "createadmin",
        typed=[
            ("User name (", "ada"),
            ("Password for ada: ", "short"),
            ("Password for ada: ", "password1"),
            ("Password for ada: ", PASSWORD),
            ("The same again: ", "something else"),
            ("Password for ada: ", PASSWORD),
            ("The same again: ", PASSWORD),
        ],
    )

    assert status == 0
    for told in ("at least 8 characters", "anybody would guess", "These two differ."):
        assert told in shown
    assert usernames(database) == ["ada"]


def test_who_types_nothing_is_let_go(settings: Path, database: Connection) -> None:
    status, shown = at_a_terminal(settings, "createadmin", "--username=ada", typed=[("Password for ada: ", "^D")])

    assert (status, "nothing was typed" in shown, "Traceback" in shown) == (1, True, False)
    assert usernames(database) == []


def test_a_password_that_nobody_could_type_is_refused(settings: Path, database: Connection) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "polls", "createadmin", "--username=ada", "--password-stdin", "--config=polls.yaml"],
        cwd=settings,
        input=PASSWORD.encode() + b"\xff\n",
        capture_output=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (1, b"polls: the password on standard input is not UTF-8 text\n")
    assert usernames(database) == []


def test_a_script_gives_the_password_on_standard_input(settings: Path, database: Connection) -> None:
    done = polls(settings, "createadmin", "--username=ada", "--password-stdin", typed=f"{PASSWORD}\n")

    assert (done.returncode, done.stderr) == (0, "")
    assert usernames(database) == ["ada"]
    with database.cursor() as cursor:
        cursor.execute("SELECT actor, deed, subject FROM history")
        assert cursor.fetchall() == [("command line", "account added", "account:ada")]


@pytest.mark.parametrize(
    ("arguments", "typed", "told"),
    [
        (["createadmin", "--username=ada"], "", "this is no terminal"),
        (["createadmin"], "", "say --username NAME"),
        (["createadmin", "--username=ada", "--password-stdin"], "", "at least 8 characters"),
        (["createadmin", "--username=ada", "--password-stdin"], "password1\n", "anybody would guess"),
        (["createadmin", "--username=a b", "--password-stdin"], PASSWORD, "make a user name"),
        (["changepassword", "ada", "--password-stdin"], PASSWORD, "there is no such account"),
        (["changepassword", "ada"], "", "this is no terminal"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line_with_status_1(
    settings: Path, database: Connection, arguments: list[str], typed: str, told: str
) -> None:
    done = polls(settings, *arguments, typed=typed)

    assert done.returncode == 1
    assert told in done.stderr
    assert done.stderr.startswith("polls: ")
    assert done.stderr.count("\n") == 1
    assert usernames(database) == []


def test_a_name_is_given_once(settings: Path, database: Connection) -> None:
    for name in ("ada", "ADA"):
        done = polls(settings, "createadmin", f"--username={name}", "--password-stdin", typed=PASSWORD)

    assert (done.returncode, "there is such an account already" in done.stderr) == (1, True)
    assert usernames(database) == ["ada"]


def test_a_forgotten_password_is_replaced_and_its_sessions_end(settings: Path, database: Connection) -> None:
    polls(settings, "createadmin", "--username=ada", "--password-stdin", typed=PASSWORD)
    with database.cursor() as cursor:
        cursor.execute("INSERT INTO session (token_hash, account_id) SELECT 'x', id FROM account RETURNING account_id")
        cursor.execute("SELECT password_hash FROM account")
        before = cursor.fetchone()

        done = polls(settings, "changepassword", "Ada", "--password-stdin", typed="another horse battery\n")

        assert done.returncode == 0
        cursor.execute("SELECT password_hash FROM account")
        assert cursor.fetchone() != before
        cursor.execute("SELECT count(*) FROM session")
        assert cursor.fetchone() == (0,)


def test_admins_are_listed(settings: Path, database: Connection) -> None:
    assert "nobody can sign in yet" in polls(settings, "admins").stdout
    for name in ("bob", "ada"):
        polls(settings, "createadmin", f"--username={name}", "--password-stdin", typed=PASSWORD)
    with database.cursor() as cursor:
        cursor.execute("UPDATE account SET disabled_at = now() WHERE username = 'bob'")

    lines = polls(settings, "admins").stdout.splitlines()

    assert [line.split()[:2] for line in lines] == [["ada", "enabled"], ["bob", "disabled"]]
