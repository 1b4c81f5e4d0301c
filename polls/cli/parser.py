"""The parser of the command line.

Each command's parser sets `run`, the function that runs it with the parsed options; it may return an exit status.
"""

import argparse
import difflib
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from polls import __version__
from polls.cli import accounts, configuration, database
from polls.cli.backup import backup, restore
from polls.cli.configuration import DEVELOPMENT_HOST, load
from polls.cli.doctor import doctor
from polls.cli.serve import serve
from polls.cli.transfer import export_polls, import_polls
from polls.paths import FOLDERS

_AddCommand = Callable[[str, str, Callable[[argparse.Namespace], int | None]], argparse.ArgumentParser]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of a command and the function that runs it, `run`. Exits with status 2 for invalid options."""
    parser = _parser()
    _check_first_option(parser, arguments)
    defaults = argparse.Namespace(config=None, host=None, port=None, path=None, metrics=None, development=False)
    options = parser.parse_args(arguments, defaults)
    if options.development and options.host not in {None, DEVELOPMENT_HOST}:
        parser.error(f"--development serves on {DEVELOPMENT_HOST} only")
    return options


def _check_first_option(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> None:
    """Report an unknown option before the command. argparse would take its value for the command, and report that."""
    common = _common_options()
    unknown = common.parse_known_args(arguments)[1][:1]
    option = unknown[0].partition("=")[0] if unknown else ""
    known = {*re.findall("--[a-z]+", common.format_usage()), "--version", "--help", "-h", "--"}
    if option.startswith("-") and option not in known:
        similar = difflib.get_close_matches(option, sorted(known), n=1)
        parser.error(f"unknown option {option}" + (f"; did you mean {similar[0]}?" if similar else ""))


def _parser() -> argparse.ArgumentParser:
    common = _common_options()
    parser = argparse.ArgumentParser(
        prog="polls",
        description="Run a web application for polls with live results.",
        epilog="Without a command, polls serves. `polls COMMAND --help` describes a command.",
        parents=[common],
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"polls {__version__}")
    parser.set_defaults(run=lambda options: serve(load(options)))
    commands = parser.add_subparsers(metavar="COMMAND", required=False)

    def add(name: str, description: str, run: Callable[[argparse.Namespace], int | None]) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name, help=description, description=description, parents=[common], allow_abbrev=False
        )
        command.set_defaults(run=run)
        return command

    add("serve", "Serve polls until Ctrl-C or SIGTERM (the default).", lambda options: serve(load(options)))
    add("check", "Check the configuration file: exit status 0, or 2 with every error in it.", configuration.check)
    add("doctor", "Check the configuration, this machine and the database.", doctor)
    _add_database_commands(add)
    _add_transfer_commands(add)
    _add_account_commands(add)
    folders = add(
        "paths", "Print the folders of this installation, for the configuration of nginx.", configuration.print_paths
    )
    folders.add_argument("folder", nargs="?", choices=FOLDERS, help="print only this folder")
    return parser


def _common_options() -> argparse.ArgumentParser:
    # They may stand before and after the command; those not given leave the defaults alone.
    common = argparse.ArgumentParser("polls", add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS)
    common.add_argument(
        "--config",
        metavar="FILE",
        help="YAML file with the settings (default: $POLLS_CONFIG, else config/polls.yaml, else the shipped file)",
    )
    common.add_argument("--host", metavar="H", help="host to listen on")
    common.add_argument("--port", metavar="P", type=_port, help="port to listen on; 0 selects a free one")
    common.add_argument(
        "--path", metavar="SOCKET", type=Path, help="UNIX socket to listen on, instead of host and port"
    )
    common.add_argument(
        "--metrics",
        metavar="PORT",
        type=_port,
        help="port to serve this process's metrics on; if it is in use, the first free one of the next 16",
    )
    common.add_argument(
        "--development",
        action="store_true",
        help=f"reload templates, show tracebacks, log SQL; on {DEVELOPMENT_HOST} only",
    )
    return common


def _add_database_commands(add: _AddCommand) -> None:
    migrate = add(
        "migrate",
        "Migrate the database schema to this version.",
        lambda options: database.migrate(load(options), plan=options.plan, show=options.list),
    )
    mode = migrate.add_mutually_exclusive_group()
    mode.add_argument("--plan", action="store_true", help="print the SQL of pending migrations without running it")
    mode.add_argument("--list", action="store_true", help="list applied and pending migrations")
    add(
        "sample", "Load the sample polls; existing ones stay unchanged.", lambda options: database.sample(load(options))
    )
    verify = add(
        "verify",
        "Recount every poll from its ballots: exit status 1 if a count is wrong.",
        lambda options: database.verify(load(options), poll=options.poll, repair=options.repair),
    )
    verify.add_argument("--poll", metavar="ID", type=_poll_id, help="recount only this poll")
    verify.add_argument("--repair", action="store_true", help="set counts that are wrong from the ballots")
    write = add(
        "backup",
        "Write the database, without sign-in sessions, to a file; voting can continue meanwhile.",
        lambda options: backup(load(options), options.file, overwrite=options.force),
    )
    write.add_argument("file", metavar="FILE", type=_file, help="file to write; - is standard output")
    write.add_argument("--force", action="store_true", help="overwrite FILE if it exists")
    read = add(
        "restore",
        "Restore a backup into an empty database, and recount every poll in it.",
        lambda options: restore(load(options), options.file),
    )
    read.add_argument("file", metavar="FILE", type=_file, help="file written by `polls backup`; - is standard input")
    psql = add(
        "psql",
        "Open psql, PostgreSQL's shell, on the configured database.",
        lambda options: database.psql(load(options), options.arguments),
    )
    psql.add_argument("arguments", nargs="*", metavar="-- ARGUMENT", help="arguments of psql, such as -- -c 'SELECT 1'")


def _add_transfer_commands(add: _AddCommand) -> None:
    write = add(
        "export",
        "Write all polls with their settings, without votes, to a YAML file.",
        lambda options: export_polls(load(options), options.file, overwrite=options.force),
    )
    write.add_argument("file", metavar="FILE", type=_file, help="file to write; - is standard output")
    write.add_argument("--force", action="store_true", help="overwrite FILE if it exists")
    read = add(
        "import",
        "Add the polls in a file that `polls export` wrote, or none of them if one is invalid.",
        lambda options: import_polls(load(options), options.file),
    )
    read.add_argument("file", metavar="FILE", type=Path, help="YAML file")


def _add_account_commands(add: _AddCommand) -> None:
    create = add(
        "createadmin",
        "Create an account that can sign in at /admin/; asks for its password twice.",
        lambda options: accounts.create_admin(load(options), options.username, from_stdin=options.password_stdin),
    )
    create.add_argument("--username", metavar="NAME", help="user name (default: asks for it)")
    change = add(
        "changepassword",
        "Change the password of an account, and end all its sessions.",
        lambda options: accounts.change_password(load(options), options.username, from_stdin=options.password_stdin),
    )
    change.add_argument("username", metavar="NAME", help="user name of the account")
    for command in (create, change):
        command.add_argument(
            "--password-stdin", action="store_true", help="read the password from the first line of standard input"
        )
    add("admins", "List all accounts.", lambda options: accounts.admins(load(options)))


def _file(text: str) -> Path:
    # "-" is a standard stream, but "./-" is a file; Path("./-") equals Path("-").
    return Path(text).absolute() if text != "-" and text.endswith("/-") else Path(text)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text} is not a port: a number from 0 to 65535")
    return int(text)


def _poll_id(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) < 2**31):  # PostgreSQL's integer
        raise argparse.ArgumentTypeError(f"{text} is not a poll id: the number in the poll's URL")
    return int(text)
