"""The command `serve`."""

from dataclasses import replace

from aiohttp import web

from polls.app import create_app
from polls.config.settings import Config
from polls.server.event_loop import GracefulLoop
from polls.server.logs import configure_logging
from polls.server.process import (
    BACKLOG,
    DRAIN_SECONDS,
    connections_allowed,
    notify_systemd,
    prepare_process,
    runner_options,
)
from polls.server.sockets import listening, unlink
from polls.server.urls import ready_message
from polls.storage.postgres import embedded


def serve(config: Config) -> int:
    """Serve polls until Ctrl-C or SIGTERM."""
    configure_logging(config.log)
    prepare_process()

    def announce(_: str) -> None:
        print(ready_message(config, sockets), flush=True)
        notify_systemd("READY=1")

    def prepare_shutdown() -> float:
        notify_systemd("STOPPING=1")
        return DRAIN_SECONDS if unlink(sockets) else 0

    # The private server is stopped here and not in on_cleanup, which doesn't run when a start fails.
    with listening(config) as sockets, embedded.running(config.postgres) as postgres:
        web.run_app(
            create_app(replace(config, postgres=postgres)),
            sock=sockets,
            backlog=BACKLOG,
            loop=GracefulLoop(connections_allowed(config.limits), prepare_shutdown),
            print=announce,
            **runner_options(config),
        )
    return 0
