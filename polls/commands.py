"""The commands of `python -m polls`: each gets the configuration and returns an exit status."""

import asyncio
import getpass
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, TypeVarTuple

from aiohttp import web

from polls.app import create_app
from polls.config import Config, ConfigError, Postgres, load
from polls.doctor import diagnosis
from polls.domain.account import FEWEST_IN_PASSWORD, MOST_IN_PASSWORD, MOST_LETTERS, fit
from polls.domain.errors import NoSuchAccount, PollsUnavailable, UnfitPassword, UnfitUsername, UsernameTaken
from polls.domain.person import COMMAND_LINE
from polls.listening import Door, announcement, listening, withdraw
from polls.logs import configure_logging
from polls.paths import FOLDERS
from polls.serving import (
    BACKLOG,
    TO_ARRIVE,
    connections_allowed,
    manner_of_serving,
    prepare_process,
    tell_systemd,
)
from polls.storage import accounts, embedded, migrations
from polls.storage.backup import BackupFailed, back_up, restore_from, stream
from polls.storage.engine import Connection, Engine, connect, environment, narrowed, open_engine
from polls.storage.examination import Finding, Verdict
from polls.storage.hosts import database
from polls.storage.passwords import Passwords, check_fitness
from polls.storage.recount import counted, recount

logger = logging.getLogger(__name__)

_Args = TypeVarTuple("_Args")
_Result = TypeVar("_Result")

_STANDARD = Path("-")  # input or output, where a file is named

_USERNAME = f"letters, digits, and . - _ @ + make a user name; at most {MOST_LETTERS} of them"

# What is wrong with a password, by the reason of UnfitPassword.
_PASSWORDS = {
    "short": f"a password has at least {FEWEST_IN_PASSWORD} characters",
    "long": f"a password has at most {MOST_IN_PASSWORD:,} characters",
    "common": "this is one of the first passwords that anybody would guess; take another",
}


class Refused(Exception):
    """What was asked for can't be done; the message tells why, and what to do, in one line."""


def serve(config: Config) -> int:
    """Serve polls until Ctrl-C or SIGTERM."""
    configure_logging(config.log)
    prepare_process()

    def announce(_: str) -> None:
        print(announcement(config, sockets), flush=True)
        tell_systemd("READY=1")

    def prepare_to_end() -> float:
        tell_systemd("STOPPING=1")
        return TO_ARRIVE if withdraw(sockets) else 0

    # The private server ends here and not in on_cleanup: that doesn't run when a start fails.
    with listening(config) as sockets, embedded.running(config.postgres) as postgres:
        web.run_app(
            create_app(replace(config, postgres=postgres)),
            sock=sockets,
            backlog=BACKLOG,
            loop=_OrderlyLoop(connections_allowed(config.limits), prepare_to_end),
            print=announce,
            **manner_of_serving(config),
        )
    return 0


def migrate(config: Config, *, plan: bool = False, show: bool = False) -> int:
    """Bring the database's schema up to date; or print the SQL that would run (`plan`), or what is applied (`show`)."""
    with embedded.running(config.postgres) as postgres, connect(postgres) as connection:
        if plan:
            for migration in migrations.pending(connection):
                print(f"-- sql/{migration.name}.sql\n{migration.sql}")
        elif show:
            done = migrations.applied(connection)
            for name in sorted({migration.name for migration in migrations.migrations()} | done.keys()):
                print(f"{name}  {f'applied {done[name].at:%Y-%m-%d %H:%M:%S %Z}' if name in done else 'pending'}")
        else:
            names = migrations.migrate(postgres, connection)
            print("\n".join(f"applied {name}" for name in names) or "nothing to apply: the schema is up to date")
    return 0


def sample(config: Config) -> int:
    """Load the sample polls; those that are there already stay as they are."""
    with embedded.running(config.postgres) as postgres, connect(postgres) as connection:
        migrations.prepare(postgres, connection)
        migrations.load_sample(connection)
    print("the sample polls are there")
    return 0


def verify(config: Config, *, poll: int | None = None) -> int:
    """Recount the polls, or one, from their ballots, and print a line for each."""
    with embedded.running(config.postgres) as postgres, connect(postgres) as connection:
        migrations.prepare(replace(postgres, migrate=False), connection)  # recounting changes nothing
        recounts = list(recount(connection, poll))
    if poll is not None and not recounts:
        print(f"polls: there is no poll {poll}", file=sys.stderr)
        return 1
    for of_poll in recounts:
        print(of_poll)
    return 0 if all(of_poll.is_exact for of_poll in recounts) else 1


def backup(config: Config, file: Path, *, replace_it: bool = False) -> int:
    """Write everything in the database but who is signed in to `file`, or to standard output where that is `-`."""
    with _backing_up(config) as (postgres, connection):
        if file == _STANDARD:
            if sys.stdout.isatty():
                raise Refused("a backup is nothing to be read: lead standard output to a file, or name one")
            stream(sys.stdout.buffer, postgres, connection)
            return 0
        size = back_up(file, postgres, connection, replace=replace_it)
    print(f"{file} holds everything in the database {database(postgres)} but who is signed in: {size:,} bytes")
    return 0


def restore(config: Config, file: Path) -> int:
    """Fill the empty database with what is in `file`, or comes over standard input where that is `-`; and recount."""
    with _backing_up(config) as (postgres, connection):
        if file == _STANDARD:
            with tempfile.NamedTemporaryFile(prefix="polls-") as received:  # it is read twice
                shutil.copyfileobj(sys.stdin.buffer, received)
                received.flush()
                restore_from(Path(received.name), postgres, connection, called="what came over standard input")
        else:
            restore_from(file, postgres, connection)
        print(f"the database {database(postgres)} was restored")
        for name in migrations.migrate(postgres, connection) if postgres.migrate else []:
            print(f"applied {name}")
        behind = migrations.pending(connection)
        recounts = list(recount(connection))
    for of_poll in recounts:
        if not of_poll.is_exact:
            print(of_poll)
    wrong = sum(not of_poll.is_exact for of_poll in recounts)
    if wrong:
        print(f"polls: {wrong:,} of {len(recounts):,} polls are COUNTED WRONGLY in this backup", file=sys.stderr)
        return 1
    ballots = sum(of_poll.ballots.found for of_poll in recounts)
    print(f"{counted(ballots, 'ballot')} in {counted(len(recounts), 'poll')}, counted exactly")
    if behind:
        print(f"it lacks {', '.join(migration.name for migration in behind)}: apply that with `polls migrate`")
    return 0


def create_admin(config: Config, username: str | None, *, from_stdin: bool) -> int:
    """Make an account that may sign in, with a password typed twice or read from standard input."""
    username = username or _typed_username()
    password = _password(username, from_stdin=from_stdin)

    async def create(engine: Engine) -> str:
        kept = await Passwords().hash(password, username)
        return (await accounts.add(engine, COMMAND_LINE, username, kept)).username

    print(f"{_with_engine(config, create)} can sign in now, at /admin/")
    return 0


def change_password(config: Config, username: str, *, from_stdin: bool) -> int:
    """Change a password, and end all sessions of its account."""
    password = _password(username, from_stdin=from_stdin)

    async def change(engine: Engine) -> None:
        kept = await Passwords().hash(password, username)
        await accounts.set_password(engine, COMMAND_LINE, username, kept)

    _with_engine(config, change)
    print(f"the password of {username} was changed, and {username} was signed out everywhere")
    return 0


def admins(config: Config) -> int:
    """Print a line for each account."""
    users = _with_engine(config, accounts.all_of_them)
    for user in users:
        state = "disabled" if user.account.disabled_at else "enabled"
        seen = f"{user.signed_in_at:%Y-%m-%d %H:%M:%S %Z}" if user.signed_in_at else "never"
        print(f"{user.account.username}  {state}  added {user.account.created_at:%Y-%m-%d}  last signed in {seen}")
    if not users:
        print("nobody can sign in yet: make the first account with `polls createadmin`")
    return 0


def doctor(file: Path, overrides: Mapping[str, object]) -> int:
    """Print what is right and what is wrong with the set-up that `file` and `overrides` describe."""
    try:
        config = load(file, **overrides)
    except ConfigError as error:
        for fault in error.faults:
            print(Finding(Verdict.FAULT, "configuration", str(fault)))
        return 2
    is_sound = True
    for finding in diagnosis(config, file):
        print(finding, flush=True)
        is_sound = is_sound and finding.verdict is not Verdict.FAULT
    return 0 if is_sound else 1


def paths(name: str | None = None) -> int:
    """Print where the folder called `name` is, or a line for each."""
    if name:
        print(FOLDERS[name])
    else:
        print("\n".join(f"{name:10} {folder}" for name, folder in FOLDERS.items()))
    return 0


def psql(config: Config, arguments: Sequence[str] = ()) -> int:
    """Open PostgreSQL's shell on the configured database; `arguments` are psql's own."""
    with embedded.running(config.postgres) as postgres:
        with connect(postgres):
            pass  # what is wrong is said in our words
        # Ctrl-C is for the shell: it cancels a statement there.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            shell = [str(embedded.program("psql", postgres)), *arguments]
            return subprocess.run(shell, env=os.environ | environment(postgres), check=False).returncode
        finally:
            signal.signal(signal.SIGINT, before)


@contextmanager
def _backing_up(config: Config) -> Iterator[tuple[Postgres, Connection]]:
    """The configured database. Raises Refused for what a backup fails of."""
    with embedded.running(config.postgres) as private_or_not:
        postgres = narrowed(private_or_not)  # once: all that is done to it is done to one host
        with connect(postgres) as connection:
            try:
                yield postgres, connection
            except BackupFailed as error:
                raise Refused(str(error)) from None


def _with_engine(config: Config, work: Callable[[Engine], Awaitable[_Result]]) -> _Result:
    """What `work` makes of the configured database, brought up to this version where the configuration wants it."""

    async def run(postgres: Postgres) -> _Result:
        engine = await open_engine(replace(postgres, minsize=1))
        try:
            return await work(engine)
        finally:
            await engine.close()

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


class _OrderlyLoop(asyncio.SelectorEventLoop):
    """An event loop that hears the first Ctrl-C or SIGTERM alone, and serves `most_connections` at once.

    What is ending in order ends in order: otherwise a second signal would cut off requests in flight, or end the
    process before its private PostgreSQL. At the first, `prepare_to_end` is called, and tells how many seconds later
    the end may begin.
    """

    def __init__(self, most_connections: int, prepare_to_end: Callable[[], float]) -> None:
        super().__init__()
        self._most_connections = most_connections
        self._doors: dict[web.Server, Door] = {}
        self._prepare_to_end = prepare_to_end

    async def create_server(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        *args: Any,  # noqa: ANN401 - they are asyncio's
        **kwargs: Any,  # noqa: ANN401
    ) -> asyncio.Server:
        """Serve connections; those to aiohttp's server through a door, which all its sockets have in common."""
        if isinstance(protocol_factory, web.Server):
            door = Door(protocol_factory, self._most_connections)
            protocol_factory = self._doors.setdefault(protocol_factory, door)
        return await super().create_server(protocol_factory, *args, **kwargs)

    def add_signal_handler(self, sig: int, callback: Callable[[*_Args], object], *args: *_Args) -> None:
        self._heard = False

        def hear() -> None:
            if not self._heard:
                self._heard = True
                self.call_later(self._prepare_to_end(), callback, *args)

        super().add_signal_handler(sig, hear)

    def remove_signal_handler(self, sig: int) -> bool:
        removed = super().remove_signal_handler(sig)
        signal.signal(sig, signal.SIG_IGN)
        return removed
