"""The outbox over a real pair of sockets, whose other end reads or doesn't."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from polls.web.http.slow_readers import SlowReaders

PATIENCE = 0.3


@pytest.fixture
async def slow_readers() -> AsyncIterator[SlowReaders]:
    slow_readers = SlowReaders(PATIENCE)
    slow_readers.open()
    yield slow_readers
    slow_readers.close()


class Connection(asyncio.Protocol):
    """Our end, and the visitor's."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        self.transport: asyncio.Transport
        ours, self.visitor = socket.socketpair()
        self._ours = ours

    async def open(self) -> None:
        self.transport, _ = await asyncio.get_running_loop().connect_accepted_socket(lambda: self, self._ours)  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.lost.set()


@pytest.fixture
async def connection(slow_readers: SlowReaders) -> AsyncIterator[Connection]:
    connection = Connection()
    await connection.open()
    slow_readers.add(connection.transport)
    yield connection
    connection.transport.abort()
    connection.visitor.close()
    await connection.lost.wait()


async def is_lost(connection: Connection, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await connection.lost.wait()
    except TimeoutError:
        return False
    return True


async def test_an_answer_that_nobody_takes_is_given_up(connection: Connection) -> None:
    connection.transport.write(bytes(10_000_000))

    assert await is_lost(connection, 10)


async def test_also_where_the_connection_was_to_be_closed_afterwards(connection: Connection) -> None:
    connection.transport.write(bytes(10_000_000))
    connection.transport.close()

    assert await is_lost(connection, 10)


async def test_also_where_it_is_a_file_that_goes_past_the_buffer(connection: Connection, tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb+") as file:
        file.truncate(10_000_000)
        sending = asyncio.create_task(asyncio.get_running_loop().sendfile(connection.transport, file))

        assert await is_lost(connection, 10)
        with pytest.raises(ConnectionError):
            await sending


async def test_who_takes_everything_may_be_idle(connection: Connection) -> None:
    connection.transport.write(b"taken")

    assert not await is_lost(connection, 3 * PATIENCE)


async def test_who_takes_it_late_but_in_time_keeps_the_connection(connection: Connection) -> None:
    connection.transport.write(bytes(10_000_000))
    await asyncio.sleep(PATIENCE / 3)
    connection.visitor.settimeout(0)
    taken = 0
    while taken < 10_000_000:
        taken += len(await asyncio.get_running_loop().sock_recv(connection.visitor, 1 << 20))

    assert not await is_lost(connection, 3 * PATIENCE)


async def test_who_asks_for_more_all_the_time_has_taken_what_came_before(
    slow_readers: SlowReaders, connection: Connection
) -> None:
    connection.transport.write(bytes(10_000_000))
    for _ in range(30):
        slow_readers.add(connection.transport)
        assert not await is_lost(connection, PATIENCE / 10)

    assert await is_lost(connection, 10)


async def test_connections_that_are_gone_are_forgotten(slow_readers: SlowReaders, connection: Connection) -> None:
    slow_readers.add(connection.transport)
    slow_readers.add(None)
    async with asyncio.timeout(10):
        while not slow_readers._connections:
            await asyncio.sleep(0.01)

        connection.visitor.close()

        while slow_readers._connections:
            await asyncio.sleep(0.01)
