"""The commands `migrate`, `sample`, `verify` and `psql`."""

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import replace

from polls.cli import CommandFailed
from polls.config.settings import Config
from polls.storage.checks.start import check_fitness, prepare
from polls.storage.postgres import embedded, migrations
from polls.storage.postgres.connect import connect, libpq_environment
from polls.storage.recount import recount
from polls.storage.repair import repair as repair_counts


def migrate(config: Config, *, plan: bool = False, show: bool = False) -> None:
    """Apply pending migrations; or print their SQL (`plan`), or list applied and pending ones (`show`)."""
    with embedded.running(config.postgres) as postgres, connect(postgres) as connection:
        check_fitness(postgres, connection)
        if plan:
            for migration in migrations.pending(connection):
                print(f"-- sql/{migration.name}.sql\n{migration.sql}")
        elif show:
            applied = migrations.applied(connection)
            for name in sorted({migration.name for migration in migrations.migrations()} | applied.keys()):
                state = f"applied {applied[name].at:%Y-%m-%d %H:%M:%S %Z}" if name in applied else "pending"
                print(f"{name}  {state}")
        else:
            names = migrations.migrate(postgres, connection)
            print("\n".join(f"applied {name}" for name in names) or "nothing to apply: the schema is up to date")


def sample(config: Config) -> None:
    """Load the sample polls; existing ones stay unchanged."""
    with embedded.running(config.postgres) as postgres, connect(postgres) as connection:
        prepare(postgres, connection)
        migrations.load_sample(connection)
    print("the sample polls are loaded")


def verify(config: Config, *, poll: int | None = None, repair: bool = False) -> int:
    """Recount all polls, or one, from their ballots, and print a line for each. Return 1 if one is wrong.

    A poll with ballots that break its rules is wrong, too. `repair` sets wrong counts from the ballots, which makes
    them right; it never changes ballots.
    """
    with embedded.running(config.postgres, create=False) as postgres, connect(postgres) as connection:
        prepare(replace(postgres, migrate=False), connection)  # a recount must not change anything
        recounts = list(recount(connection, poll))
        repaired = set(repair_counts(connection, recounts)) if repair else set()
    if poll is not None and not recounts:
        raise CommandFailed(f"poll {poll} does not exist")
    for result in recounts:
        print(f"{result}; REPAIRED" if result.question_id in repaired else result)
    is_right = all(not result.invalid and (result.is_exact or result.question_id in repaired) for result in recounts)
    return 0 if is_right else 1


def psql(config: Config, arguments: Sequence[str] = ()) -> int:
    """Run psql with `arguments` on the configured database, and return its exit status."""
    with embedded.running(config.postgres) as postgres:
        with connect(postgres):
            pass  # raises UnusableDatabase with our message instead of psql's
        # Ctrl-C is for psql, where it cancels a statement.
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            installed = None if postgres.embedded else shutil.which("psql")
            command = [installed or embedded.binaries_for(postgres.embedded) / "psql", *arguments]
            return subprocess.run(command, env=os.environ | libpq_environment(postgres), check=False).returncode
        finally:
            signal.signal(signal.SIGINT, previous)
