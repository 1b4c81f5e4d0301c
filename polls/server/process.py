"""The set-up of a server process, and the runner options and time-outs that `polls serve` and gunicorn share."""

import gc
import logging
import os
import resource
import socket
from contextlib import suppress
from typing import Any

from polls.config.settings import Config, Limits
from polls.web.http.access_log import AccessLogger
from polls.web.http.limits import handler_args, max_connections

logger = logging.getLogger(__name__)

# Connections that the kernel queues while the process is busy. A UNIX socket whose queue is full refuses new ones, and
# nginx answers 502. Linux allows no more by default (net.core.somaxconn).
BACKLOG = 4096

# Seconds at the shutdown in which clients that have connected already may still send their request. Otherwise they
# would be cut off, and a proxy can't know whether it may send a vote to another process instead.
DRAIN_SECONDS = 0.2

# Seconds at the shutdown for requests in flight; aiohttp waits for this time twice.
SHUTDOWN_TIMEOUT = 5
_DEVELOPMENT_SHUTDOWN_TIMEOUT = 0.5


def prepare_process() -> None:
    """Reduce garbage collection, and raise the limit on open files to the hard limit: each connection needs one."""
    # Collect rarely, and never among imported modules: the collector took an eighth of the time of a vote. Reference
    # counting frees what requests leave behind, except reference cycles.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS reports "unlimited", but refuses it
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))


def connections_allowed(limits: Limits) -> int:
    """Return the connection limit of this process; log a warning if open files allow fewer than configured."""
    connections = max_connections(limits)
    if connections < (limits.connections or 0):
        logger.warning(
            "the limit on open files allows only %d connections, not %d (limits.connections); raise `ulimit -n`",
            connections,
            limits.connections,
        )
    return connections


def shutdown_timeout(config: Config) -> float:
    """Return the seconds at the shutdown for requests in flight."""
    return _DEVELOPMENT_SHUTDOWN_TIMEOUT if config.development else SHUTDOWN_TIMEOUT


def protocol_options(config: Config) -> dict[str, Any]:
    """Return the arguments for aiohttp's protocol: access log and limits."""
    return {
        "access_log": logging.getLogger("aiohttp.access") if config.log.access else None,
        "access_log_class": AccessLogger,
        **handler_args(config.limits),
    }


def notify_systemd(state: str) -> None:
    """Send `state` (such as `READY=1`) to systemd if it started this process: sd_notify(3)."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd, suppress(OSError):
        systemd.connect("\0" + address[1:] if address.startswith("@") else address)
        systemd.sendall(state.encode())
