"""polls in gunicorn's workers."""

import asyncio
import logging
import sys
from typing import NoReturn

from aiohttp import web

from polls.config.loader import ConfigError, find_file, load
from polls.config.settings import Config
from polls.server.connection_limit import ConnectionLimit
from polls.server.logs import configure_logging
from polls.server.process import DRAIN_SECONDS, connections_allowed
from polls.storage.postgres.connect import UnusableDatabase
from polls.web.keys import CONFIG

logger = logging.getLogger(__name__)

_UNTIL_ANOTHER = 1  # second until gunicorn tries again what needs a database
_HOPELESS = 4  # the status with which a worker tells gunicorn that the application can't be loaded


def configured() -> Config:
    """The configuration, with logging as it wants it. What can't be used ends this process, and gunicorn with it."""
    try:
        config = load(find_file(None))
    except ConfigError as error:
        _give_up(str(error))
    if config.postgres.embedded is not None:
        _give_up("polls: gunicorn can't run a private PostgreSQL: name a server in the file that $POLLS_CONFIG names")
    configure_logging(config.log)
    return config


class Worker(web.AppRunner):
    """What a worker serves; gunicorn looks after sockets and signals."""

    _connection_limit: ConnectionLimit | None = None

    @property
    def server(self) -> ConnectionLimit | None:  # type: ignore[override]
        """What gunicorn and its sites take for aiohttp's server."""
        return self._connection_limit

    async def setup(self) -> None:
        try:
            await super().setup()
            if server := super().server:
                self._connection_limit = ConnectionLimit(server, connections_allowed(self.app[CONFIG].limits))
        except UnusableDatabase as error:
            # With this status gunicorn starts another worker in our place, until there is a database.
            logger.error("%s", error)  # noqa: TRY400 - the sentence says it all
            await asyncio.sleep(_UNTIL_ANOTHER)
            sys.exit(1)

    async def cleanup(self) -> None:
        for site in list(self.sites):
            await site.stop()  # the sockets stay open: they are all workers'
        await asyncio.sleep(DRAIN_SECONDS)
        await super().cleanup()


def _give_up(reason: str) -> NoReturn:
    """End this worker, and gunicorn with it: another worker would fare no better."""
    print(reason, file=sys.stderr)
    sys.exit(_HOPELESS)
