"""What an operator should know of a set-up, from the configuration to the database: one line a thing."""

import resource
from collections.abc import Iterator, Mapping
from pathlib import Path

from polls.config.loader import ConfigError, load
from polls.config.settings import Config
from polls.storage.checks.examination import Finding, Verdict, examine
from polls.storage.postgres import embedded
from polls.storage.postgres.connect import UnusableDatabase, connect

_FEW_FILES, _TOO_FEW_FILES = 10_000, 1024
_MORE_FILES = "Raise it: `ulimit -Hn`, LimitNOFILE= (systemd), minfds (supervisord)"


def doctor(file: Path, overrides: Mapping[str, object]) -> int:
    """Print what is right and what is wrong with the set-up that `file` and `overrides` describe."""
    try:
        config = load(file, **overrides)
    except ConfigError as error:
        for fault in error.problems:
            print(Finding(Verdict.FAULT, "configuration", str(fault)))
        return 2
    is_sound = True
    for finding in diagnosis(config, file):
        print(finding, flush=True)
        is_sound = is_sound and finding.verdict is not Verdict.FAULT
    return 0 if is_sound else 1


def diagnosis(config: Config, file: Path) -> Iterator[Finding]:
    """Everything that there is to say of `config`, which was read from `file`, and of what it names."""
    yield Finding(Verdict.OK, "configuration", f"{file} has no faults")
    yield _open_files()
    try:
        with embedded.running(config.postgres) as postgres, connect(postgres) as connection:
            where = (
                f"private, in {postgres.embedded}"
                if postgres.embedded
                else f"at {connection.info.host or 'its socket'}"
            )
            yield Finding(Verdict.OK, "database", f"{connection.info.dbname}, {where}")
            yield from examine(connection, postgres)
    except UnusableDatabase as error:
        yield Finding(Verdict.FAULT, "database", str(error))
    else:
        yield Finding(Verdict.NOTE, "counts", "not looked at. `polls verify` recounts every poll from its ballots")


def _open_files() -> Finding:
    """Each voter who waits, and each watcher, holds a connection: serving takes as many as this user may have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most == resource.RLIM_INFINITY:
        return Finding(Verdict.OK, "open files", "as many as anybody likes")
    said = f"up to {most:,} voters, watchers and other connections at a time in each process"
    if most < _TOO_FEW_FILES:
        return Finding(Verdict.FAULT, "open files", f"{said}, which is too few. {_MORE_FILES}")
    if most < _FEW_FILES:
        return Finding(Verdict.NOTE, "open files", f"{said}, which a crowd may exhaust. {_MORE_FILES}")
    return Finding(Verdict.OK, "open files", said)
