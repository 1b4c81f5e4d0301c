"""The command `doctor`."""

import resource
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from polls.cli.configuration import file_of, load
from polls.config.settings import Config, Creating
from polls.config.yaml_file import InvalidFile
from polls.storage.checks.findings import Finding, Verdict
from polls.storage.checks.runner import run_checks
from polls.storage.postgres import embedded
from polls.storage.postgres.connect import UnusableDatabase, connect

# A limit on open files below the first is a note, below the second a fault.
_NOTE_BELOW, _FAULT_BELOW = 10_000, 1024
_ADVICE = "Raise the limit: `ulimit -Hn`, LimitNOFILE= (systemd), minfds (supervisord)"


def doctor(options: Namespace) -> int:
    """Print a line for each check of the configuration, this machine and the database.

    Returns the exit status: 1 if a check failed, 2 if the configuration is invalid.
    """
    try:
        config = load(options)
    except InvalidFile as error:
        for problem in error.problems:
            print(Finding(Verdict.FAULT, "configuration", problem))
        return 2
    verdicts = set()
    for finding in _diagnose(config, file_of(options)):
        print(finding, flush=True)
        verdicts.add(finding.verdict)
    return 1 if Verdict.FAULT in verdicts else 0


def _diagnose(config: Config, file: Path) -> Iterator[Finding]:
    yield Finding(Verdict.OK, "configuration", f"{file} has no errors")
    yield _who_may_ask(config.creating)
    yield _open_files()
    try:
        if embedded.is_new(config.postgres):
            text = f"{config.postgres.embedded} doesn't exist yet; it is created when polls starts"
            yield Finding(Verdict.NOTE, "database", text)
            return
        with embedded.running(config.postgres, create=False) as postgres, connect(postgres) as connection:
            location = (
                f"private, in {postgres.embedded}"
                if postgres.embedded
                else f"at {connection.info.host or 'its UNIX socket'}"
            )
            yield Finding(Verdict.OK, "database", f"{connection.info.dbname}, {location}")
            yield from run_checks(connection, postgres)
    except UnusableDatabase as error:
        yield Finding(Verdict.FAULT, "database", str(error))


def _who_may_ask(creating: Creating) -> Finding:
    if not creating.is_open:
        text = "only admins; to let others ask at /ask, set creating.who to password or anyone"
    else:
        who = "who can open the site" if creating.who == "anyone" else "who knows creating.password"
        limits = f"{creating.per_hour:,} an hour and network, {creating.per_hour_in_all:,} in all"
        text = f"everyone {who}, at /ask; each process accepts {limits}"
    return Finding(Verdict.OK, "who may make polls", text)


def _open_files() -> Finding:
    """Check the hard limit on open files, up to which `serve` raises the soft one: each connection needs a file."""
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return Finding(Verdict.OK, "open files", "no limit")
    text = f"up to {limit:,} connections of voters and others at a time in each process"
    if limit < _FAULT_BELOW:
        return Finding(Verdict.FAULT, "open files", f"{text}, which is too few. {_ADVICE}")
    if limit < _NOTE_BELOW:
        return Finding(Verdict.NOTE, "open files", f"{text}, which may be too few for many voters. {_ADVICE}")
    return Finding(Verdict.OK, "open files", text)
