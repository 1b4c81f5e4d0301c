"""The limits of a process: how long it waits for whom, and how many may come at once."""

import resource
from typing import Any

from aiohttp.log import server_logger

from polls.config.settings import Limits

MOST_CONNECTIONS = 20_000  # unless the configuration says otherwise: more than one process has the time for
MOST_HEADERS = 64
LINGERING = 2  # seconds for which a client may go on sending what nobody reads, so that it reads our answer
_BESIDE = 250  # open files that are no connection of a visitor's, and some who are turned away


def handler_args(limits: Limits) -> dict[str, Any]:
    """What aiohttp sees to by itself, for each connection, whoever runs the application."""
    return {
        # It counts until the headers are complete, however they drip.
        "keepalive_timeout": limits.keepalive_timeout,
        "lingering_time": LINGERING,
        "max_line_size": limits.max_header_bytes,
        "max_field_size": limits.max_header_bytes,
        "max_headers": MOST_HEADERS,
        # Where polls keeps silent about who asked for what; gunicorn would put in a log of its own.
        "logger": server_logger,
    }


def most_connections(limits: Limits) -> int:
    """How many connections this process may have: as many as are configured, if there may be as many open files."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.connections or MOST_CONNECTIONS
    if files == resource.RLIM_INFINITY:
        return wanted
    return min(wanted, max(files - _BESIDE, files // 2))


def most_watchers(limits: Limits) -> int:
    """How many of them may watch: the others are for those who vote."""
    return most_connections(limits) * 3 // 4 if limits.websockets is None else limits.websockets
