import asyncio
import socket
from contextlib import ExitStack

from aiohttp import web

from polls.server.event_loop import GracefulLoop


def test_all_sockets_of_a_server_share_one_connection_limit() -> None:
    async def count_connections() -> int:
        server = web.Server(lambda _: web.Response())  # type: ignore[arg-type, return-value]
        listeners = []
        with ExitStack() as stack:
            for _ in range(2):
                listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
                listeners.append(await asyncio.get_running_loop().create_server(server, sock=listener))
                for _ in range(20):
                    stack.enter_context(socket.create_connection(listener.getsockname()))
            await asyncio.sleep(0.5)
            count = len(server.connections)
            await server.shutdown(1)
            for listening in listeners:
                listening.close()
        await asyncio.sleep(0.1)
        return count

    loop = GracefulLoop(5, lambda: 0)
    try:
        assert loop.run_until_complete(count_connections()) == 5
    finally:
        loop.close()
