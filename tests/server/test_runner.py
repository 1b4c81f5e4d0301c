import asyncio
import os
import signal
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from aiohttp import web

from polls.config.settings import Config, Limits, Postgres
from polls.server.runner import LimitedRunner, run, stop_signals
from polls.web.keys import CONFIG

SOMAXCONN = int(Path("/proc/sys/net/core/somaxconn").read_text())


@pytest.fixture
def app() -> web.Application:
    app = web.Application()
    app[CONFIG] = Config(postgres=Postgres(), limits=Limits(connections=5))
    return app


async def stop_process() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


async def fail() -> None:
    pytest.fail("it must not become ready")


async def test_all_sockets_share_one_connection_limit(app: web.Application) -> None:
    runner = LimitedRunner(app)
    await runner.setup()
    with ExitStack() as stack:
        for _ in range(2):
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            await web.SockSite(runner, listener).start()
            for _ in range(20):
                stack.enter_context(socket.create_connection(listener.getsockname()))
        await asyncio.sleep(0.3)

        connections = len(web.AppRunner.server.fget(runner).connections)  # type: ignore[attr-defined]

        await runner.cleanup()
    assert connections == 5


async def test_closed_connections_make_room_for_others(app: web.Application) -> None:
    runner = LimitedRunner(app)
    await runner.setup()
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        await web.SockSite(runner, listener).start()
        for _ in range(3):
            clients = [stack.enter_context(socket.create_connection(listener.getsockname())) for _ in range(5)]
            await asyncio.sleep(0.1)

            connections = len(web.AppRunner.server.fget(runner).connections)  # type: ignore[attr-defined]

            assert connections == 5
            for client in clients:
                client.close()
            await asyncio.sleep(0.1)
        await runner.cleanup()


async def test_the_kernel_queues_as_many_connections_as_linux_allows(app: web.Application) -> None:
    sizes = []

    async def read_size() -> None:
        # tcpi_sacked of a listening socket is the size of its queue (tcp_get_info() in the kernel).
        info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        sizes.append(struct.unpack_from("I", info, 28)[0])
        await stop_process()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        await run(app, [listener], read_size)

    assert sizes == [min(SOMAXCONN, 4096)]


async def test_a_signal_ends_the_server_after_the_cleanup(app: web.Application) -> None:
    steps = []

    async def resource(_: web.Application) -> AsyncIterator[None]:
        steps.append("opened")
        yield
        steps.append("closed")

    app.cleanup_ctx.append(resource)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        await run(app, [listener], stop_process)

    assert steps == ["opened", "closed"]


async def test_a_signal_during_the_startup_cancels_it(app: web.Application) -> None:
    async def hang(_: web.Application) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(60)

    app.on_startup.append(hang)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with asyncio.timeout(5):
            await run(app, [listener], fail)


async def test_a_signal_ends_a_startup_that_swallows_its_cancellation(app: web.Application) -> None:
    """As asyncio.wait_for does in Python 3.11 if it is cancelled at the moment when it completes."""

    async def swallow(_: web.Application) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)

    app.on_startup.append(swallow)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with asyncio.timeout(5):
            await run(app, [listener], fail)


async def test_an_error_during_the_startup_is_raised_after_the_cleanup(app: web.Application) -> None:
    async def raise_error(_: web.Application) -> None:
        raise RuntimeError("no database")

    app.on_startup.append(raise_error)
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(RuntimeError, match="no database"):
        await run(app, [listener], fail)


async def test_further_signals_are_ignored_even_after_the_loop() -> None:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with stop_signals() as stopping:
            os.kill(os.getpid(), signal.SIGINT)
            await stopping.wait()
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0.05)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


async def test_without_a_signal_the_handlers_are_restored() -> None:
    before = signal.getsignal(signal.SIGTERM)

    with stop_signals() as stopping:
        assert signal.getsignal(signal.SIGTERM) != before

    assert not stopping.is_set()
    assert signal.getsignal(signal.SIGTERM) == before
