"""How polls is served, by itself and by gunicorn's workers: what a process sets up, and how it treats connections."""

import gc
import logging
import os
import resource
import socket
from contextlib import suppress
from typing import Any

from polls.config.settings import Config, Limits
from polls.web.http.access_log import AccessLogger
from polls.web.http.limits import most_connections

logger = logging.getLogger(__name__)

# Connections that may wait until a busy process takes them. A socket that has no room for another refuses it at once.
BACKLOG = 2048

# Seconds for what is on its way to us at the end: a connection that is taken, or waits to be, and hasn't said anything
# yet. It would be cut off, and a proxy can't know whether a vote on it may be sent to another process.
DRAIN_SECONDS = 0.2

# Seconds for requests in flight at the end; aiohttp counts them twice.
SHUTDOWN_TIMEOUT = 5
_DEVELOPMENT_SHUTDOWN_TIMEOUT = 0.5


def prepare_process() -> None:
    """Make the process fit for a crowd."""
    _collect_garbage_seldom()
    _allow_many_connections()


def connections_allowed(limits: Limits) -> int:
    """How many connections this process has at once; says where that is fewer than the configuration wants."""
    connections = most_connections(limits)
    if connections < (limits.connections or 0):
        logger.warning(
            "no more than %d connections can be served at once, since there can't be more open files (ulimit -n)",
            connections,
        )
    return connections


def runner_options(config: Config) -> dict[str, Any]:
    """How requests are logged, and how long connections are kept: what aiohttp's runners want to know."""
    return {
        "access_log": logging.getLogger("aiohttp.access") if config.log.access else None,
        "access_log_class": AccessLogger,
        "shutdown_timeout": _DEVELOPMENT_SHUTDOWN_TIMEOUT if config.development else SHUTDOWN_TIMEOUT,
    }


def tell_systemd(state: str) -> None:
    """Tell systemd about this service (`READY=1`), where it has started it and wants to know: sd_notify(3)."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices, suppress(OSError):
        notices.connect("\0" + address[1:] if address.startswith("@") else address)
        notices.sendall(state.encode())


def _collect_garbage_seldom() -> None:
    """Search for garbage seldom, and not in what was imported: the search would be an eighth of the work for a vote.

    What requests leave behind is freed without a search, but for what hangs together in circles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)


def _allow_many_connections() -> None:
    """Take as many open files as this user may have: each voter who waits, and each watcher, needs one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS says "unlimited", and doesn't mean it
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
