"""The event loop of `polls serve`."""

import asyncio
import signal
from collections.abc import Callable
from typing import Any, TypeVarTuple

from aiohttp import web

from polls.server.connection_limit import ConnectionLimit

_Args = TypeVarTuple("_Args")


class OrderlyLoop(asyncio.SelectorEventLoop):
    """An event loop that hears the first Ctrl-C or SIGTERM alone, and serves `most_connections` at once.

    What is ending in order ends in order: otherwise a second signal would cut off requests in flight, or end the
    process before its private PostgreSQL. At the first, `prepare_to_end` is called, and tells how many seconds later
    the end may begin.
    """

    def __init__(self, most_connections: int, prepare_to_end: Callable[[], float]) -> None:
        super().__init__()
        self._most_connections = most_connections
        self._connection_limits: dict[web.Server, ConnectionLimit] = {}
        self._prepare_to_end = prepare_to_end

    async def create_server(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        *args: Any,  # noqa: ANN401 - they are asyncio's
        **kwargs: Any,  # noqa: ANN401
    ) -> asyncio.Server:
        """Serve connections; those to aiohttp's server through a door, which all its sockets have in common."""
        if isinstance(protocol_factory, web.Server):
            connection_limit = ConnectionLimit(protocol_factory, self._most_connections)
            protocol_factory = self._connection_limits.setdefault(protocol_factory, connection_limit)
        return await super().create_server(protocol_factory, *args, **kwargs)

    def add_signal_handler(self, sig: int, callback: Callable[[*_Args], object], *args: *_Args) -> None:
        self._heard = False

        def hear() -> None:
            if not self._heard:
                self._heard = True
                self.call_later(self._prepare_to_end(), callback, *args)

        super().add_signal_handler(sig, hear)

    def remove_signal_handler(self, sig: int) -> bool:
        removed = super().remove_signal_handler(sig)
        signal.signal(sig, signal.SIG_IGN)
        return removed
