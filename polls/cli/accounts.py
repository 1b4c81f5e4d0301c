"""The commands `createadmin`, `changepassword` and `admins`."""

import getpass
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

from polls.cli import CommandFailed
from polls.cli.pool import with_database
from polls.config.settings import Config
from polls.domain.account import MAX_PASSWORD_LENGTH, MAX_USERNAME_LENGTH, MIN_PASSWORD_LENGTH, validate_username
from polls.domain.errors import AccountNotFound, InvalidPassword, InvalidUsername, UsernameTaken
from polls.domain.permissions import COMMAND_LINE
from polls.storage import accounts
from polls.storage.passwords import Passwords, validate_password
from polls.storage.postgres.pool import Database

_Result = TypeVar("_Result")

# By InvalidPassword.reason.
_INVALID_PASSWORD = {
    "short": f"a password has at least {MIN_PASSWORD_LENGTH} characters",
    "long": f"a password has at most {MAX_PASSWORD_LENGTH:,} characters",
    "common": "this password is too common; choose another",
}


def create_admin(config: Config, username: str | None, *, from_stdin: bool) -> None:
    """Create an account that can sign in, with a password typed twice or read from standard input."""
    username = username or _ask_username()
    password = _new_password(username, from_stdin=from_stdin)

    async def create(database: Database) -> str:
        password_hash = await Passwords().hash(password, username)
        return (await accounts.add(database, COMMAND_LINE, username, password_hash)).username

    print(f"created the account {_with_database(config, create)}, which can sign in at /admin/")


def change_password(config: Config, username: str, *, from_stdin: bool) -> None:
    """Change the password of an account, and end all its sessions."""
    password = _new_password(username, from_stdin=from_stdin)

    async def change(database: Database) -> None:
        password_hash = await Passwords().hash(password, username)
        await accounts.set_password(database, COMMAND_LINE, username, password_hash)

    _with_database(config, change)
    print(f"changed the password of {username} and ended all sessions of that account")


def admins(config: Config) -> None:
    """Print a line for each account."""
    summaries = _with_database(config, accounts.list_accounts)
    for summary in summaries:
        account = summary.account
        state = "disabled" if account.disabled_at else "enabled"
        last = f"{summary.signed_in_at:%Y-%m-%d %H:%M:%S %Z}" if summary.signed_in_at else "never"
        print(f"{account.username}  {state}  added {account.created_at:%Y-%m-%d}  last signed in {last}")
    if not summaries:
        print("no accounts yet: create the first one with `polls createadmin`")


def _with_database(config: Config, work: Callable[[Database], Awaitable[_Result]]) -> _Result:
    """Return the result of `work` on the configured database. Raises CommandFailed."""
    try:
        return with_database(config, work)
    except UsernameTaken:
        raise CommandFailed(
            "an account with that name exists; change its password with `polls changepassword`"
        ) from None
    except AccountNotFound:
        raise CommandFailed("no such account; `polls admins` lists all accounts") from None
    except InvalidPassword as error:
        raise CommandFailed(_INVALID_PASSWORD[error.reason]) from None


def _ask_username() -> str:
    if not sys.stdin.isatty():
        raise CommandFailed("standard input is not a terminal: use --username NAME and --password-stdin")
    try:
        default = validate_username(getpass.getuser())
    except (OSError, KeyError, InvalidUsername):  # the system has no name for this user id
        default = "admin"
    if default == "root":  # of the system, not of a person
        default = "admin"
    return input(f"User name ({default}): ").strip() or default


def _new_password(username: str, *, from_stdin: bool) -> str:
    """Return a new password for `username`, typed without echo or read from standard input. Raises CommandFailed."""
    try:
        validate_username(username)
    except InvalidUsername:
        raise CommandFailed(
            f"a user name consists of letters, digits and . - _ @ +, at most {MAX_USERNAME_LENGTH} characters"
        ) from None
    if from_stdin:
        try:
            return sys.stdin.buffer.readline().decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise CommandFailed("the password on standard input is not UTF-8 text") from None
    if not sys.stdin.isatty():
        raise CommandFailed("standard input is not a terminal: pass the password on it, with --password-stdin")
    while True:
        password = getpass.getpass(f"Password for {username}: ")
        try:
            validate_password(password, username)
        except InvalidPassword as error:
            print(_INVALID_PASSWORD[error.reason], file=sys.stderr)
            continue
        if getpass.getpass("Repeat the password: ") == password:
            return password
        print("The passwords differ.", file=sys.stderr)
