"""The commands `backup` and `restore`."""

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from polls.cli import CommandFailed
from polls.config.settings import Config, Postgres
from polls.storage.backup import back_up, restore_from, stream_backup
from polls.storage.checks.start import check_fitness
from polls.storage.postgres import embedded, migrations
from polls.storage.postgres.connect import Connection, connect, single_host
from polls.storage.postgres.primary import database_name
from polls.storage.recount import Recount, count_of, recount_if_possible

_STANDARD_STREAM = Path("-")  # standard input or output, in place of a file


def backup(config: Config, file: Path, *, overwrite: bool = False) -> None:
    """Write the database, without sign-in sessions, to `file`, or to standard output if it is `-`.

    Raises BackupFailed, CommandFailed.
    """
    with _connected(config, create=False) as (postgres, connection):
        if file == _STANDARD_STREAM:
            if sys.stdout.isatty():
                raise CommandFailed("a backup is binary: redirect standard output to a file, or name a file")
            stream_backup(sys.stdout.buffer, postgres, connection)
        else:
            size = back_up(file, postgres, connection, replace=overwrite)
            print(f"wrote the database {database_name(postgres)}, without sign-in sessions, to {file}: {size:,} bytes")


def restore(config: Config, file: Path) -> int:
    """Restore `file`, or standard input if it is `-`, into the empty database, and recount all polls.

    Raises BackupFailed.
    """
    with _connected(config) as (postgres, connection):
        check_fitness(postgres, connection)
        if file == _STANDARD_STREAM:
            with tempfile.NamedTemporaryFile(prefix="polls-") as received:  # it is read twice
                shutil.copyfileobj(sys.stdin.buffer, received)
                received.flush()
                restore_from(Path(received.name), postgres, connection, display_name="standard input")
        else:
            restore_from(file, postgres, connection)
        print(f"the database {database_name(postgres)} was restored")
        for name in migrations.migrate(postgres, connection) if postgres.migrate else []:
            print(f"applied {name}")
        pending = migrations.pending(connection)
        recounts = recount_if_possible(connection)
    status = _report(recounts)
    if status == 0 and pending:
        names = ", ".join(migration.name for migration in pending)
        print(f"the schema lacks {names}: apply it with `polls migrate`")
    return status


@contextmanager
def _connected(config: Config, *, create: bool = True) -> Iterator[tuple[Postgres, Connection]]:
    with embedded.running(config.postgres, create=create) as running:
        postgres = single_host(running)  # every step must use the same host, even after a failover
        with connect(postgres) as connection:
            yield postgres, connection


def _report(recounts: Sequence[Recount] | None) -> int:
    if recounts is None:
        print("not recounted yet: do it with `polls verify` after the next step")
        return 0
    wrong = [result for result in recounts if not result.is_exact]
    for result in wrong:
        print(result)
    if wrong:
        print(f"polls: {len(wrong):,} of {len(recounts):,} polls are COUNTED WRONGLY in this backup", file=sys.stderr)
        return 1
    ballots = sum(result.ballots for result in recounts)
    print(f"{count_of(ballots, 'ballot')} in {count_of(len(recounts), 'poll')}, counted exactly")
    return 0
