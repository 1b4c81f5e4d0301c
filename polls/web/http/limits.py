"""Limits of a process on time, sizes and numbers of connections."""

import resource
from itertools import chain
from typing import Any

from aiohttp import web
from aiohttp.log import server_logger

from polls.config.settings import Limits

DEFAULT_MAX_CONNECTIONS = 20_000  # more than one process has the CPU time for
MAX_HEADERS = 64
_MAX_LONG_HEADERS = 4  # headers of `limits.max_header_bytes` that a request may have
LINGERING_TIME = 2  # seconds for which an unwanted body is read and discarded, so that its sender reads the response
_RESERVED_FILES = 250  # open files that are no client connections, and connections that are being rejected


class TooManyWebSockets(Exception):
    """A WebSocket beyond the limit of this process."""


def handler_args(limits: Limits) -> dict[str, Any]:
    """Return the limits that aiohttp's protocol enforces for each connection, whatever server runs the application."""
    return {
        # aiohttp applies it until the headers are complete, however slowly they arrive.
        "keepalive_timeout": limits.keepalive_timeout,
        "lingering_time": LINGERING_TIME,
        # A compressed body can be a thousand times as large as what is received, and is decompressed in one piece.
        "auto_decompress": False,
        "max_line_size": limits.max_header_bytes,
        "max_field_size": limits.max_header_bytes,
        "max_headers": MAX_HEADERS,
        # Our logging redacts bad requests in this logger; gunicorn's worker would pass one of its own.
        "logger": server_logger,
    }


def check_header_size(request: web.Request, max_header_bytes: int) -> None:
    """Raise aiohttp's HTTPRequestHeaderFieldsTooLarge (431) if all headers together are too large."""
    if sum(map(len, chain.from_iterable(request.raw_headers))) > _MAX_LONG_HEADERS * max_header_bytes:
        raise web.HTTPRequestHeaderFieldsTooLarge


def max_connections(limits: Limits) -> int:
    """Return the maximum number of connections: the configured one, reduced if RLIMIT_NOFILE doesn't allow as many."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    configured = limits.connections or DEFAULT_MAX_CONNECTIONS
    if files == resource.RLIM_INFINITY:
        return configured
    return min(configured, max(files - _RESERVED_FILES, files // 2))


def max_websockets(limits: Limits) -> int:
    """Return the maximum number of WebSockets: by default 3/4 of the connections, so that voters can still connect."""
    return max_connections(limits) * 3 // 4 if limits.websockets is None else limits.websockets
