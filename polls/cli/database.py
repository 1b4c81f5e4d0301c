"""Commands on the database: migrate, sample, verify, psql."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace

from polls.config.settings import Config
from polls.storage.postgres import embedded, migrations
from polls.storage.postgres.connect import connect, libpq_environment
from polls.storage.recount import recount


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


def psql(config: Config, arguments: Sequence[str] = ()) -> int:
    """Open PostgreSQL's shell on the configured database; `arguments` are psql's own."""
    with embedded.running(config.postgres) as postgres:
        with connect(postgres):
            pass  # what is wrong is said in our words
        # Ctrl-C is for the shell: it cancels a statement there.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            shell = [str(embedded.program("psql", postgres)), *arguments]
            return subprocess.run(shell, env=os.environ | libpq_environment(postgres), check=False).returncode
        finally:
            signal.signal(signal.SIGINT, before)
