"""The configuration and the runner of gunicorn's workers."""

import asyncio
import logging
import sys
from typing import NoReturn

from polls.config.loader import find_file, load
from polls.config.settings import Config
from polls.config.yaml_file import InvalidFile
from polls.server.logs import configure_logging
from polls.server.process import DRAIN_SECONDS
from polls.server.runner import LimitedRunner
from polls.storage.postgres.connect import UnusableDatabase

logger = logging.getLogger(__name__)

_RETRY_DELAY = 1  # seconds until gunicorn replaces a worker that can't use the database
_APP_LOAD_ERROR = 4  # gunicorn's exit status for a worker whose application can't be loaded: gunicorn stops, too


def load_config() -> Config:
    """Load the configuration and configure logging. Exit, and stop gunicorn, if the configuration can't be used."""
    try:
        config = load(find_file(None))
    except InvalidFile as error:
        _exit(str(error))
    if config.postgres.embedded is not None:
        _exit("polls: gunicorn can't run a private PostgreSQL. Name a server in the file that $POLLS_CONFIG names")
    configure_logging(config.log)
    return config


class Worker(LimitedRunner):
    """The runner of a worker; gunicorn itself handles sockets and signals."""

    async def setup(self) -> None:
        try:
            await super().setup()
        except UnusableDatabase as error:
            # After this exit status gunicorn starts a new worker, until the database can be used.
            logger.error("%s", error)  # noqa: TRY400 - the message is complete
            await asyncio.sleep(_RETRY_DELAY)
            sys.exit(1)

    async def cleanup(self) -> None:
        for site in list(self.sites):
            await site.stop()  # the sockets stay open: all workers share them
        await asyncio.sleep(DRAIN_SECONDS)
        await super().cleanup()


def _exit(reason: str) -> NoReturn:
    """Exit with the status that also stops gunicorn: another worker would fail in the same way."""
    print(reason, file=sys.stderr)
    sys.exit(_APP_LOAD_ERROR)
