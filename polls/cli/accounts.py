"""Commands for accounts: createadmin, changepassword, admins."""

import asyncio
import getpass
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from polls.cli.errors import Refused
from polls.config.settings import Config, Postgres
from polls.domain.account import FEWEST_IN_PASSWORD, MOST_IN_PASSWORD, MOST_LETTERS, fit
from polls.domain.errors import NoSuchAccount, PollsUnavailable, UnfitPassword, UnfitUsername, UsernameTaken
from polls.domain.permissions import COMMAND_LINE
from polls.storage import accounts
from polls.storage.passwords import Passwords, check_fitness
from polls.storage.postgres import embedded, migrations
from polls.storage.postgres.connect import connect
from polls.storage.postgres.pool import Database, open_database

_Result = TypeVar("_Result")

_USERNAME = f"letters, digits, and . - _ @ + make a user name; at most {MOST_LETTERS} of them"

# What is wrong with a password, by the reason of UnfitPassword.
_PASSWORDS = {
    "short": f"a password has at least {FEWEST_IN_PASSWORD} characters",
    "long": f"a password has at most {MOST_IN_PASSWORD:,} characters",
    "common": "this is one of the first passwords that anybody would guess; take another",
}


def create_admin(config: Config, username: str | None, *, from_stdin: bool) -> int:
    """Make an account that may sign in, with a password typed twice or read from standard input."""
    username = username or _typed_username()
    password = _password(username, from_stdin=from_stdin)

    async def create(database: Database) -> str:
        kept = await Passwords().hash(password, username)
        return (await accounts.add(database, COMMAND_LINE, username, kept)).username

    print(f"{_with_database(config, create)} can sign in now, at /admin/")
    return 0


def change_password(config: Config, username: str, *, from_stdin: bool) -> int:
    """Change a password, and end all sessions of its account."""
    password = _password(username, from_stdin=from_stdin)

    async def change(database: Database) -> None:
        kept = await Passwords().hash(password, username)
        await accounts.set_password(database, COMMAND_LINE, username, kept)

    _with_database(config, change)
    print(f"the password of {username} was changed, and {username} was signed out everywhere")
    return 0


def admins(config: Config) -> int:
    """Print a line for each account."""
    users = _with_database(config, accounts.list_accounts)
    for user in users:
        state = "disabled" if user.account.disabled_at else "enabled"
        seen = f"{user.signed_in_at:%Y-%m-%d %H:%M:%S %Z}" if user.signed_in_at else "never"
        print(f"{user.account.username}  {state}  added {user.account.created_at:%Y-%m-%d}  last signed in {seen}")
    if not users:
        print("nobody can sign in yet: make the first account with `polls createadmin`")
    return 0


def _with_database(config: Config, work: Callable[[Database], Awaitable[_Result]]) -> _Result:
    """What `work` makes of the configured database, brought up to this version where the configuration wants it."""

    async def run(postgres: Postgres) -> _Result:
        database = await open_database(replace(postgres, minsize=1))
        try:
            return await work(database)
        finally:
            await database.close()

    with embedded.running(config.postgres) as postgres:
        with connect(postgres) as connection:
            migrations.prepare(postgres, connection)
        try:
            return asyncio.run(run(postgres))
        except UnfitUsername:
            raise Refused(_USERNAME) from None
        except UsernameTaken:
            raise Refused("there is such an account already; `polls changepassword` changes its password") from None
        except NoSuchAccount:
            raise Refused("there is no such account; `polls admins` lists them") from None
        except UnfitPassword as error:
            raise Refused(_PASSWORDS[error.reason]) from None
        except PollsUnavailable as error:
            raise Refused(f"the database can't be used just now: {error.__cause__}") from None


def _typed_username() -> str:
    if not sys.stdin.isatty():
        raise Refused("this is no terminal: say --username NAME, and --password-stdin")
    try:
        mine = fit(getpass.getuser())
    except (OSError, KeyError, UnfitUsername):  # a user whom the machine doesn't know
        mine = "admin"
    return _typed(f"User name ({mine}): ").strip() or mine


def _typed(prompt: str, ask: Callable[[str], str] = input) -> str:
    try:
        return ask(prompt)
    except EOFError:
        raise Refused("nothing was typed") from None


def _password(username: str, *, from_stdin: bool) -> str:
    """A new password for `username`, which is never shown. Raises Refused."""
    try:
        fit(username)
    except UnfitUsername:
        raise Refused(_USERNAME) from None
    if from_stdin:
        try:
            return sys.stdin.buffer.readline().decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise Refused("the password on standard input is not UTF-8 text") from None
    if not sys.stdin.isatty():
        raise Refused("this is no terminal: give the password on standard input, with --password-stdin")
    while True:
        password = _typed(f"Password for {username}: ", getpass.getpass)
        try:
            check_fitness(password, username)
        except UnfitPassword as error:
            print(_PASSWORDS[error.reason], file=sys.stderr)
            continue
        if _typed("The same again: ", getpass.getpass) == password:
            return password
        print("These two differ.", file=sys.stderr)
