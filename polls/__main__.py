"""The command line of polls."""

import argparse
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from polls import __version__
from polls.paths import FOLDERS

_DEVELOPMENT_HOST = "127.0.0.1"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line says and return the exit status: 1 where it can't be done, 2 where it is mistaken."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # while serving, aiohttp takes over
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # not under nohup: a terminal that is closed ends us, too
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    try:
        parser = _parser()
        unsaid = argparse.Namespace(config=None, host=None, port=None, path=None, metrics=None, development=False)
        options = parser.parse_args(arguments, unsaid)
        if options.development and options.host not in {None, _DEVELOPMENT_HOST}:
            parser.error(f"--development serves on {_DEVELOPMENT_HOST} only")
        return _run(options)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _run(options: argparse.Namespace) -> int:  # noqa: C901, PLR0912 - a list of commands
    # Not at the top of the file: all this takes half a second to import, and Ctrl-C may come meanwhile.
    from polls.cli import accounts, backup, database, doctor, folders, serve  # noqa: PLC0415
    from polls.cli.errors import Refused  # noqa: PLC0415
    from polls.config import loader  # noqa: PLC0415
    from polls.server.sockets import CannotListen  # noqa: PLC0415
    from polls.storage.postgres.connect import UnusableDatabase  # noqa: PLC0415

    if options.command == "paths":
        return folders.paths(options.folder)
    file = loader.find_file(options.config)
    overrides = {
        name: getattr(options, name) for name in ("host", "port", "path") if getattr(options, name) is not None
    }
    if options.development:
        overrides |= {"development": True, "host": _DEVELOPMENT_HOST}
    try:
        if options.command == "doctor":  # which tells what is wrong with the configuration in its own way
            return doctor.doctor(file, overrides)
        settings = loader.load(file, **overrides)
        if options.metrics is not None:
            settings = replace(settings, metrics=replace(settings.metrics, port=options.metrics, path=None))
        match options.command:
            case "check":
                print(f"{file}: no faults")
                return 0
            case "migrate":
                return database.migrate(settings, plan=options.plan, show=options.list)
            case "sample":
                return database.sample(settings)
            case "verify":
                return database.verify(settings, poll=options.poll)
            case "backup":
                return backup.backup(settings, options.file, replace_it=options.force)
            case "restore":
                return backup.restore(settings, options.file)
            case "createadmin":
                return accounts.create_admin(settings, options.username, from_stdin=options.password_stdin)
            case "changepassword":
                return accounts.change_password(settings, options.username, from_stdin=options.password_stdin)
            case "admins":
                return accounts.admins(settings)
            case "psql":
                return database.psql(settings, options.arguments)
        return serve.serve(settings)
    except loader.ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    except (CannotListen, UnusableDatabase, Refused) as error:
        print(f"polls: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS)
    common.add_argument(
        "--config",
        metavar="FILE",
        help="the YAML file with the settings (default: $POLLS_CONFIG, else config/polls.yaml, else the one inside)",
    )
    common.add_argument("--host", metavar="H", help="the address to listen on")
    common.add_argument("--port", metavar="P", type=_port, help="the port to listen on; 0 takes a free one")
    common.add_argument("--path", metavar="SOCKET", type=Path, help="a UNIX socket to listen on instead")
    common.add_argument(
        "--metrics",
        metavar="PORT",
        type=_port,
        help="the port to tell metrics at, for this process alone; where it is taken, one of the 16 that follow",
    )
    common.add_argument(
        "--development",
        action="store_true",
        help=f"reload templates, show tracebacks, log SQL; on {_DEVELOPMENT_HOST} only",
    )
    parser = argparse.ArgumentParser(
        prog="polls",
        description="Put a question to a crowd, collect the votes, see where it stands.",
        epilog="Without a command, polls serves. `polls COMMAND --help` tells more about each.",
        parents=[common],
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"polls {__version__}")
    parser.set_defaults(command="serve")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=False)

    def command(name: str, what_for: str) -> argparse.ArgumentParser:
        return subparsers.add_parser(name, help=what_for, description=what_for, parents=[common], allow_abbrev=False)

    command("serve", "Serve polls until Ctrl-C or SIGTERM (the default).")
    command("check", "Check the configuration alone: exit status 0, or 2 with every fault in it.")
    migrate = command("migrate", "Bring the database's schema up to date.")
    shown = migrate.add_mutually_exclusive_group()
    shown.add_argument("--plan", action="store_true", help="print the SQL that would run, and run nothing")
    shown.add_argument("--list", action="store_true", help="tell what is applied and what is pending")
    command("doctor", "Tell what is right and wrong with the configuration, this machine and the database.")
    command("sample", "Load the sample polls; those that are there already stay as they are.")
    verify = command("verify", "Recount every poll from its ballots: exit status 1 where a number differs.")
    verify.add_argument("--poll", metavar="ID", type=_poll, help="recount this poll alone")
    back_up = command(
        "backup", "Write everything in the database, but who is signed in, to a file; voting may go on meanwhile."
    )
    back_up.add_argument("file", metavar="FILE", type=Path, help="the file that shall hold it; - is standard output")
    back_up.add_argument("--force", action="store_true", help="replace FILE, if there is one")
    restore = command("restore", "Fill an empty database with a backup, and recount every poll in it.")
    restore.add_argument("file", metavar="FILE", type=Path, help="what `polls backup` wrote; - is standard input")
    create = command("createadmin", "Make an account that may sign in at /admin/; asks for its password twice.")
    create.add_argument("--username", metavar="NAME", help="what it is called (default: asks)")
    change = command("changepassword", "Change a password, and sign its owner out everywhere.")
    change.add_argument("username", metavar="NAME", help="whose password it is")
    for of_a_password in (create, change):
        of_a_password.add_argument(
            "--password-stdin", action="store_true", help="read the password from the first line of standard input"
        )
    command("admins", "List those who may sign in.")
    where = command("paths", "Tell where the folders of this polls are, that nginx and operators need.")
    where.add_argument("folder", nargs="?", choices=FOLDERS, help="this one alone")
    psql = command("psql", "Open PostgreSQL's shell on the configured database.")
    psql.add_argument("arguments", nargs="*", metavar="-- ARGUMENT", help="what psql gets, such as -- -c 'SELECT 1'")
    return parser


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text} is no port: a number from 0 to 65535")
    return int(text)


def _poll(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise argparse.ArgumentTypeError(f"{text} is no poll: the number in its address")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
