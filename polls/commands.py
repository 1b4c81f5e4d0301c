"""The commands of `python -m polls`: each gets the configuration and returns an exit status."""

import asyncio
import logging
import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import replace

from aiohttp import web

from polls.app import create_app
from polls.config import Config
from polls.listening import announcement, bound
from polls.logs import configure_logging
from polls.storage import embedded, migrations
from polls.storage.engine import connect, environment
from polls.web.access_log import AccessLogger

_SHUTDOWN_TIMEOUT = 5  # seconds for requests in flight; aiohttp counts it twice


def serve(config: Config) -> int:
    """Serve polls until Ctrl-C or SIGTERM."""
    configure_logging(config.log)
    # The private server ends here and not in on_cleanup: that doesn't run when a start fails.
    with bound(config) as sockets, embedded.running(config.postgres) as postgres:
        web.run_app(
            create_app(replace(config, postgres=postgres)),
            sock=sockets,
            access_log=logging.getLogger("aiohttp.access") if config.log.access else None,
            access_log_class=AccessLogger,
            shutdown_timeout=_SHUTDOWN_TIMEOUT,
            loop=_EndingLoop(),
            print=lambda _: print(announcement(config, sockets), flush=True),
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


def psql(config: Config, arguments: Sequence[str] = ()) -> int:
    """Open PostgreSQL's shell on the configured database; `arguments` are psql's own."""
    with embedded.running(config.postgres) as postgres:
        # Ctrl-C is for the shell: it cancels a statement there.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            shell = [str(embedded.program("psql", postgres)), *arguments]
            return subprocess.run(shell, env=os.environ | environment(postgres), check=False).returncode
        finally:
            signal.signal(signal.SIGINT, before)


class _EndingLoop(asyncio.SelectorEventLoop):
    """An event loop after which Ctrl-C and SIGTERM have been heard.

    asyncio would let them end the process at once again, before the private PostgreSQL is stopped.
    """

    def remove_signal_handler(self, sig: int) -> bool:
        removed = super().remove_signal_handler(sig)
        signal.signal(sig, signal.SIG_IGN)
        return removed
