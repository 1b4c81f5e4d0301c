"""A limit on the open connections of a process, and warnings when it or the open files are exhausted."""

import asyncio
import errno
import logging
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any

from aiohttp import web

logger = logging.getLogger(__name__)

_LOG_INTERVAL = 10  # seconds between two warnings about the same


class ConnectionLimit:
    """A protocol factory that gives up to `limit` open connections of `server` a `protocol`, and closes any others."""

    def __init__(self, server: web.Server, protocol: Callable[[], web.RequestHandler], limit: int) -> None:
        self._server = server
        self._protocol = protocol
        self._limit = limit
        # Accepted in this loop iteration; `server.connections` doesn't include them yet.
        self._accepted: deque[web.RequestHandler] = deque()
        # Counted at the limit only: `server.connections` is a copy, which at each connection of a crowd took longer
        # than anything else.
        self._open_at_most = 0
        self._rejected = 0
        self._next_warning = 0.0

    @property
    def requests_count(self) -> int:
        """Return the number of requests so far, which gunicorn's worker reads."""
        return self._server.requests_count

    def __call__(self) -> asyncio.BaseProtocol:
        """Return the protocol for a new connection."""
        while self._accepted and self._accepted[0].transport:
            self._accepted.popleft()
        if self._open_at_most >= self._limit:
            self._open_at_most = len(self._server.connections) + len(self._accepted)
        if self._open_at_most < self._limit:
            self._open_at_most += 1
            if not self._accepted:
                # connection_made runs in the next iteration, so clear in the one after it.
                loop = asyncio.get_running_loop()
                loop.call_soon(loop.call_soon, self._accepted.clear)
            self._accepted.append(self._protocol())
            return self._accepted[-1]
        self._rejected += 1
        if monotonic() >= self._next_warning:
            self._next_warning = monotonic() + _LOG_INTERVAL
            logger.warning(
                "closed %d new connections: the limit of %d open connections is reached (limits.connections)",
                self._rejected,
                self._limit,
            )
            self._rejected = 0
        return RejectedConnection()


class RejectedConnection(asyncio.Protocol):
    """A connection over the limit, closed without a response."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # nosec B101 # asyncio makes only these for sockets
        transport.abort()


class OpenFileErrors:
    """An exception handler of the event loop that logs exhausted open files once an interval.

    asyncio reports each connection that it can't accept, with a traceback, and tries again after a second.
    """

    def __init__(self) -> None:
        self._next_warning = 0.0

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log an error of `loop`; errors of other kinds go to the default handler."""
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in {errno.EMFILE, errno.ENFILE}:
            loop.default_exception_handler(context)
        elif monotonic() >= self._next_warning:
            self._next_warning = monotonic() + _LOG_INTERVAL
            logger.error(
                "can't accept connections: %s. Raise the limit on open files (ulimit -n), or lower limits.connections",
                error.strerror,
            )
