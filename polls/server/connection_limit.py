"""A limit on the connections that a process has at once."""

import asyncio
import logging
from collections import deque
from time import monotonic

from aiohttp import web

logger = logging.getLogger(__name__)


_SILENCE = 10  # seconds between two complaints that there are too many connections


class ConnectionLimit:
    """Lets `most` connections in to `server`, and closes those that come beyond."""

    def __init__(self, server: web.Server, most: int) -> None:
        self._server = server
        self._most = most
        # Who was let in in this turn of the loop: asyncio takes in all who are waiting before the server knows of one.
        self._arriving: deque[web.RequestHandler] = deque()
        self._rejected = 0
        self._silent_until = 0.0

    @property
    def requests_count(self) -> int:
        """How many requests the server has had, as gunicorn's worker wants to know."""
        return self._server.requests_count

    def __call__(self) -> asyncio.BaseProtocol:
        """What serves a connection that has just been made."""
        while self._arriving and self._arriving[0].transport:
            self._arriving.popleft()
        if len(self._server.connections) + len(self._arriving) < self._most:
            if not self._arriving:
                loop = asyncio.get_running_loop()
                loop.call_soon(loop.call_soon, self._arriving.clear)
            self._arriving.append(self._server())
            return self._arriving[-1]
        self._rejected += 1
        if monotonic() >= self._silent_until:
            logger.warning(
                "%d connections were closed at once, since there were %d already (limits.connections)",
                self._rejected,
                self._most,
            )
            self._rejected = 0
            self._silent_until = monotonic() + _SILENCE
        return RejectedConnection()


class RejectedConnection(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        transport.abort()
