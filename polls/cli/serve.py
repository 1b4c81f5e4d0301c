"""The command `serve`."""

import asyncio
from contextlib import suppress
from dataclasses import replace

from polls.app import create_app
from polls.cli.output import announce
from polls.config.settings import Config
from polls.domain.errors import PollsUnavailable
from polls.server.logs import configure_logging
from polls.server.process import prepare_process
from polls.server.runner import run
from polls.server.sockets import listening
from polls.server.urls import ready_message
from polls.storage import accounts
from polls.storage.postgres import embedded
from polls.web.keys import DATABASE

NO_ACCOUNT = "no account yet: polls createadmin"


def serve(config: Config) -> None:
    """Serve polls until Ctrl-C or SIGTERM."""
    configure_logging(config.log)
    prepare_process()
    with listening(config) as sockets, embedded.running(config.postgres) as postgres:
        app = create_app(replace(config, postgres=postgres))

        async def ready() -> None:
            announce(ready_message(config, sockets))
            with suppress(PollsUnavailable):
                if not await accounts.any_exist(app[DATABASE]):
                    announce(NO_ACCOUNT)

        asyncio.run(run(app, sockets, ready))
