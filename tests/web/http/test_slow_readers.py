"""Slow readers, over real pairs of sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from polls.web.http.slow_readers import SlowReaders

TIMEOUT = 0.3


@pytest.fixture
async def slow_readers() -> AsyncIterator[SlowReaders]:
    slow_readers = SlowReaders(TIMEOUT)
    slow_readers.open()
    yield slow_readers
    slow_readers.close()


class Connection(asyncio.Protocol):
    """The server's transport, and the client's socket."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        self.transport: asyncio.Transport
        self._server_socket, self.client = socket.socketpair()

    async def open(self) -> None:
        self.transport, _ = await asyncio.get_running_loop().connect_accepted_socket(lambda: self, self._server_socket)  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.lost.set()


@pytest.fixture
async def connection(slow_readers: SlowReaders) -> AsyncIterator[Connection]:
    connection = Connection()
    await connection.open()
    slow_readers.add(connection.transport)
    yield connection
    connection.transport.abort()
    connection.client.close()
    await connection.lost.wait()


async def is_lost(connection: Connection, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await connection.lost.wait()
    except TimeoutError:
        return False
    return True


async def test_a_connection_whose_client_reads_nothing_is_closed(connection: Connection) -> None:
    connection.transport.write(bytes(10_000_000))

    assert await is_lost(connection, 10)


async def test_a_closing_connection_whose_client_reads_nothing_is_closed(connection: Connection) -> None:
    connection.transport.write(bytes(10_000_000))
    connection.transport.close()

    assert await is_lost(connection, 10)


async def test_an_idle_connection_stays_open(connection: Connection) -> None:
    connection.transport.write(b"read")

    assert not await is_lost(connection, 3 * TIMEOUT)


async def test_a_client_that_reads_before_the_timeout_keeps_its_connection(connection: Connection) -> None:
    connection.transport.write(bytes(10_000_000))
    await asyncio.sleep(TIMEOUT / 3)
    connection.client.settimeout(0)
    received = 0
    while received < 10_000_000:
        received += len(await asyncio.get_running_loop().sock_recv(connection.client, 1 << 20))

    assert not await is_lost(connection, 3 * TIMEOUT)


async def test_each_new_response_restarts_the_timeout(slow_readers: SlowReaders, connection: Connection) -> None:
    connection.transport.write(bytes(10_000_000))
    for _ in range(30):
        slow_readers.add(connection.transport)
        assert not await is_lost(connection, TIMEOUT / 10)

    assert await is_lost(connection, 10)


async def test_closed_connections_are_dropped(slow_readers: SlowReaders, connection: Connection) -> None:
    slow_readers.add(connection.transport)
    slow_readers.add(None)
    async with asyncio.timeout(10):
        while not slow_readers.connection_count:
            await asyncio.sleep(0.01)

        connection.client.close()

        while slow_readers.connection_count:
            await asyncio.sleep(0.01)
