"""A write time-out: closes connections of clients that don't read their response."""

import asyncio
from weakref import ref

from aiohttp import web

_CHECKS_PER_TIMEOUT = 6


class SlowReaders:
    """A background task that closes connections whose client hasn't read its response for `timeout` seconds.

    The time starts when data stays in the write buffer, and again with each new response. The kernel's socket buffer
    holds more than a page of ours, so only clients that request many pages or large files can be closed.
    Connections are kept as weak references: strong ones would let closed connections grow old in the garbage
    collector, which then frees them late.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        # Event loop time since when data is unread; None if there was none at the last check, or a response since.
        self._unread_since: dict[ref[asyncio.Transport], float | None] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def connection_count(self) -> int:
        """Number of connections that the next check will examine."""
        return len(self._unread_since)

    def open(self) -> None:
        """Start to check connections in the background."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="slow readers")

    def close(self) -> None:
        """Stop checking, and leave all connections open."""
        if self._task:
            self._task.cancel()
        self._unread_since.clear()

    def add(self, transport: asyncio.Transport | None) -> None:
        """Check a connection over which a response is about to be sent; None if the client has disconnected."""
        if transport is not None:
            self._unread_since[ref(transport)] = None

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._timeout / _CHECKS_PER_TIMEOUT)
            self._check(asyncio.get_running_loop().time())

    def _check(self, now: float) -> None:
        for connection, since in list(self._unread_since.items()):
            transport = connection()
            if transport is None or _has_sent_everything(transport):
                if transport is None or transport.is_closing():
                    del self._unread_since[connection]
                else:
                    self._unread_since[connection] = None
            elif since is None:
                self._unread_since[connection] = now
            elif now - since >= self._timeout:
                del self._unread_since[connection]
                transport.abort()


SLOW_READERS = web.AppKey("slow_readers", SlowReaders)


def _has_sent_everything(transport: asyncio.Transport) -> bool:
    """Return whether nothing waits to be sent; reading is paused while a client sends more requests than it reads."""
    return not transport.get_write_buffer_size() and (transport.is_reading() or transport.is_closing())
