"""Commands for backups: backup, restore."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from polls.cli.errors import Refused
from polls.config.settings import Config, Postgres
from polls.storage.postgres import embedded, migrations
from polls.storage.postgres.backup import BackupFailed, back_up, restore_from, stream
from polls.storage.postgres.connect import Connection, connect, single_host
from polls.storage.postgres.primary import database_name
from polls.storage.recount import counted, recount

_STANDARD = Path("-")  # input or output, where a file is named


def backup(config: Config, file: Path, *, replace_it: bool = False) -> int:
    """Write everything in the database but who is signed in to `file`, or to standard output where that is `-`."""
    with _backing_up(config) as (postgres, connection):
        if file == _STANDARD:
            if sys.stdout.isatty():
                raise Refused("a backup is nothing to be read: lead standard output to a file, or name one")
            stream(sys.stdout.buffer, postgres, connection)
            return 0
        size = back_up(file, postgres, connection, replace=replace_it)
    print(f"{file} holds everything in the database {database_name(postgres)} but who is signed in: {size:,} bytes")
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
        print(f"the database {database_name(postgres)} was restored")
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


@contextmanager
def _backing_up(config: Config) -> Iterator[tuple[Postgres, Connection]]:
    """The configured database. Raises Refused for what a backup fails of."""
    with embedded.running(config.postgres) as private_or_not:
        postgres = single_host(private_or_not)  # once: all that is done to it is done to one host
        with connect(postgres) as connection:
            try:
                yield postgres, connection
            except BackupFailed as error:
                raise Refused(str(error)) from None
