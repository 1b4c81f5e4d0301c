"""The runner of an application: it serves until a signal, with one connection limit for all sockets."""

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from aiohttp import web

from polls.server.connection_limit import ConnectionLimit, OpenFileErrors
from polls.server.process import BACKLOG, DRAIN_SECONDS, connections_allowed, notify_systemd, shutdown_timeout
from polls.server.protocol import Protocol
from polls.server.sockets import unlink
from polls.web.keys import CONFIG

# Connections that asyncio accepts from a socket in one loop iteration. Its default is the whole backlog: those over the
# limit would all be open at once before the first of them is closed, and exhaust the open files.
_ACCEPTS_PER_ITERATION = 32


class LimitedRunner(web.AppRunner):
    """An application runner with one connection limit for all its sites."""

    _connection_limit: ConnectionLimit | None = None

    @property
    def server(self) -> ConnectionLimit | None:  # type: ignore[override]
        """Return the connection limit, which sites use in place of aiohttp's server."""
        return self._connection_limit

    async def setup(self) -> None:
        await super().setup()
        if server := super().server:
            config = self.app[CONFIG]
            protocol = partial(Protocol, server, config, loop=asyncio.get_running_loop())
            self._connection_limit = ConnectionLimit(server, protocol, connections_allowed(config.limits))


async def run(app: web.Application, sockets: Sequence[socket.socket], ready: Callable[[], Awaitable[None]]) -> None:
    """Serve `app` on `sockets` until SIGINT or SIGTERM; call `ready` when it accepts connections.

    A signal during the startup stops it. Requests in flight are finished before this returns.
    """
    asyncio.get_running_loop().set_exception_handler(OpenFileErrors())
    runner = LimitedRunner(app, shutdown_timeout=shutdown_timeout(app[CONFIG]))
    with stop_signals() as stopping:
        try:
            if await _set_up(runner, stopping):
                for listener in sockets:
                    await web.SockSite(runner, listener, backlog=_ACCEPTS_PER_ITERATION).start()
                    listener.listen(BACKLOG)  # asyncio has made the kernel's queue as short as its own batches
                await ready()
                notify_systemd("READY=1")
                await stopping.wait()
            notify_systemd("STOPPING=1")
            if unlink(sockets):
                await asyncio.sleep(DRAIN_SECONDS)
        finally:
            await runner.cleanup()


@contextmanager
def stop_signals() -> Iterator[asyncio.Event]:
    """Return an event that the first SIGINT or SIGTERM sets.

    Further signals are ignored, also after the end of the `with`: they would cut off requests in flight, or end the
    process before its private PostgreSQL.
    """
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    is_stopping = False

    def stop(*_: object) -> None:
        nonlocal is_stopping
        if not is_stopping:
            is_stopping = True
            loop.call_soon_threadsafe(stopping.set)

    # Not loop.add_signal_handler(), which ends with the loop.
    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopping
    finally:
        if not is_stopping:
            for number, handler in previous.items():
                signal.signal(number, handler)


async def _set_up(runner: LimitedRunner, stopping: asyncio.Event) -> bool:
    """Start the application, or cancel its startup when `stopping` is set. Return whether to continue."""
    startup, stop = asyncio.create_task(runner.setup()), asyncio.create_task(stopping.wait())
    await asyncio.wait({startup, stop}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if stopping.is_set():
        startup.cancel()
        await asyncio.wait({startup})
        if not startup.cancelled():  # asyncio.wait_for may have swallowed it (Python 3.11); aiopg uses that
            startup.exception()
        return False
    await startup
    return True
