"""The event loop of `polls serve`."""

import asyncio
import signal
from collections.abc import Callable
from typing import Any, TypeVarTuple

from aiohttp import web

from polls.server.connection_limit import ConnectionLimit

_Args = TypeVarTuple("_Args")


class GracefulLoop(asyncio.SelectorEventLoop):
    """An event loop that shuts down once, at the first SIGINT or SIGTERM, and limits connections.

    Further signals are ignored: they would cut off requests in flight, or end the process before its private
    PostgreSQL. `prepare_shutdown` is called at the first signal and returns the seconds until the shutdown begins.
    `connections` is the limit for each aiohttp server.
    """

    def __init__(self, connections: int, prepare_shutdown: Callable[[], float]) -> None:
        super().__init__()
        self._connections = connections
        self._connection_limits: dict[web.Server, ConnectionLimit] = {}
        self._prepare_shutdown = prepare_shutdown

    async def create_server(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        *args: Any,  # noqa: ANN401 - they are asyncio's
        **kwargs: Any,  # noqa: ANN401
    ) -> asyncio.Server:
        """Create a server; all sockets of one aiohttp server share a connection limit."""
        if isinstance(protocol_factory, web.Server):
            connection_limit = ConnectionLimit(protocol_factory, self._connections)
            protocol_factory = self._connection_limits.setdefault(protocol_factory, connection_limit)
        return await super().create_server(protocol_factory, *args, **kwargs)

    def add_signal_handler(self, sig: int, callback: Callable[[*_Args], object], *args: *_Args) -> None:
        self._is_stopping = False

        def stop() -> None:
            if not self._is_stopping:
                self._is_stopping = True
                self.call_later(self._prepare_shutdown(), callback, *args)

        super().add_signal_handler(sig, stop)

    def remove_signal_handler(self, sig: int) -> bool:
        removed = super().remove_signal_handler(sig)
        signal.signal(sig, signal.SIG_IGN)
        return removed
