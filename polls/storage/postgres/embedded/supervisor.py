"""Restarting a private server that has ended while it is in use."""

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)

_CHECK_INTERVAL = 0.25  # seconds between two checks of a running server
RETRY_INTERVAL = 2  # seconds after a restart that failed


def supervise(
    is_alive: Callable[[], bool],
    restart: Callable[[], None],
    stopping: threading.Event,
    *,
    retry_interval: float = RETRY_INTERVAL,
) -> None:
    """Call `restart` whenever `is_alive` returns False, until `stopping` is set; a restart that fails is repeated."""
    while not stopping.wait(_CHECK_INTERVAL):
        try:
            if not is_alive():
                logger.warning("the private PostgreSQL has ended; restarting it")
                restart()
        except Exception as error:  # noqa: BLE001
            # Any error may be temporary: a full disk, too many open files, a missing folder.
            logger.error("can't restart the private PostgreSQL; trying again: %s", error)  # noqa: TRY400
            stopping.wait(retry_interval)
