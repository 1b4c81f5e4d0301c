"""Answers on their way: a visitor who doesn't take theirs is not waited for without end."""

import asyncio
import socket
from typing import TypeAlias
from weakref import ref

from aiohttp import web

_LOOKS = 6  # at each connection, until patience ends

_Connection: TypeAlias = "ref[asyncio.Transport]"


class SlowReaders:
    """Looks after the connections over which answers go.

    A connection is given up when a part of an answer has been lying in it for `patience` seconds, and none more was
    begun. What a visitor reads too slowly, the kernel keeps first, so that this is about more than a page of ours.
    Connections are known by weak references: to keep those that have ended would make them garbage that is old, and
    collected late.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._connections: set[_Connection] = set()
        self._fresh: set[_Connection] = set()  # those that came since the last look
        self._lying: dict[_Connection, float] = {}  # since when
        self._task: asyncio.Task[None] | None = None

    def add(self, transport: asyncio.Transport | None) -> None:
        """An answer will go over this connection; over none where the visitor has gone."""
        if transport is not None:
            self._fresh.add(ref(transport))

    def open(self) -> None:
        """Begin to look."""
        self._task = asyncio.get_running_loop().create_task(self._look_after(), name="keeper of the outbox")

    def close(self) -> None:
        """Look no longer."""
        if self._task:
            self._task.cancel()
        self._connections.clear()
        self._lying.clear()

    async def _look_after(self) -> None:
        while True:
            await asyncio.sleep(self._patience / _LOOKS)
            self._look(asyncio.get_running_loop().time())

    def _look(self, now: float) -> None:
        fresh, self._fresh = self._fresh, set()
        self._connections |= fresh
        for connection in list(self._connections):
            transport = connection()
            if transport is None or _is_free(transport):
                self._lying.pop(connection, None)
                if transport is None or transport.is_closing():
                    self._connections.discard(connection)
            elif connection in fresh or connection not in self._lying:
                self._lying[connection] = now
            elif now - self._lying[connection] >= self._patience:
                del self._lying[connection]
                self._connections.discard(connection)
                _give_up(transport)


SLOW_READERS = web.AppKey("slow_readers", SlowReaders)


def _is_free(transport: asyncio.Transport) -> bool:
    """Whether everything was taken.

    A file goes past the buffer, and nothing is read meanwhile; nor is it while more is asked for than is taken.
    """
    return not transport.get_write_buffer_size() and (transport.is_reading() or transport.is_closing())


def _give_up(transport: asyncio.Transport) -> None:
    try:
        # Not abort(): asyncio would wait for ever for a chance to send the rest of a file.
        transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
    except (OSError, TypeError):  # gone already; or uvloop's, which refuses, and sends no files past the buffer
        transport.abort()
