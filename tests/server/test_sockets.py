import asyncio
import errno
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from polls.config.settings import Config, Metrics, Postgres
from polls.server import announcement as announcing
from polls.server import sockets as opening
from polls.server.announcement import announcement
from polls.server.event_loop import OrderlyLoop
from polls.server.sockets import CannotListen, listening, listening_for_metrics, unlink


def config(**settings: Any) -> Config:
    return Config(postgres=Postgres(), **{"port": 0, **settings})


def test_on_all_addresses_it_tells_what_to_type_on_a_phone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announcing, "_network_address", lambda: "192.168.1.7")
    everywhere = config(host="0.0.0.0")

    with listening(everywhere) as sockets:
        port = sockets[0].getsockname()[1]
        assert announcement(everywhere, sockets) == (
            f"polls is ready at http://127.0.0.1:{port}, "
            f"for phones on the same network at http://192.168.1.7:{port} (Ctrl-C ends it)"
        )


def test_a_server_lets_in_as_many_as_it_may_on_all_its_sockets_together() -> None:
    async def count() -> int:
        server = web.Server(lambda _: web.Response())  # type: ignore[arg-type, return-value]
        crowd, listeners = [], []
        with ExitStack() as opened:
            for _ in range(2):
                connection_limit = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
                listeners.append(await asyncio.get_running_loop().create_server(server, sock=connection_limit))
                crowd += [
                    opened.enter_context(socket.create_connection(connection_limit.getsockname())) for _ in range(20)
                ]
            await asyncio.sleep(0.5)
            most = len(server.connections)
            await server.shutdown(1)
            for listener in listeners:
                listener.close()
        await asyncio.sleep(0.1)
        return most

    loop = OrderlyLoop(5, lambda: 0)
    try:
        assert loop.run_until_complete(count()) == 5
    finally:
        loop.close()


def test_without_a_network_there_is_nothing_to_type_on_a_phone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announcing, "_network_address", lambda: None)
    everywhere = config(host="0.0.0.0")

    with listening(everywhere) as sockets:
        assert "phone" not in announcement(everywhere, sockets)


@pytest.mark.parametrize(("host", "announced"), [("::", "[::1]"), ("::1", "[::1]")])
def test_an_address_of_version_6_is_announced_as_one_types_it(host: str, announced: str) -> None:
    settings = config(host=host)
    try:
        with listening(settings) as sockets:
            assert announcement(settings, sockets).startswith(f"polls is ready at http://{announced}:")
    except CannotListen as error:
        assert "Cannot assign requested address" in str(error)  # noqa: PT017 - a machine without IPv6


def addresses(*hosts: str) -> Any:
    """A name for several addresses, as /etc/hosts gives one to localhost."""

    def getaddrinfo(_: str, port: int, **__: object) -> list[Any]:
        families = {True: socket.AF_INET6, False: socket.AF_INET}
        return [(families[":" in host], socket.SOCK_STREAM, 0, "", (host, port)) for host in hosts]

    return getaddrinfo


def test_a_name_with_several_addresses_has_one_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", addresses("127.0.0.1", "127.0.0.2"))

    with listening(config(host="both")) as sockets:
        first, second = (listener.getsockname() for listener in sockets)

    assert (first[0], second[0]) == ("127.0.0.1", "127.0.0.2")
    assert first[1] == second[1]


def test_an_address_that_this_machine_lacks_is_left_out_while_it_has_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", addresses("192.0.2.1", "127.0.0.1"))

    with listening(config(host="both")) as sockets:
        assert [listener.getsockname()[0] for listener in sockets] == ["127.0.0.1"]


def test_an_address_that_this_machine_lacks_is_said() -> None:
    with (
        pytest.raises(CannotListen, match=r"192\.0\.2\.1:0: .*Choose another address with --host"),
        listening(config(host="192.0.2.1")),
    ):
        pass


def test_who_may_not_use_a_port_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(socket, "create_server", refuse)

    with (
        pytest.raises(CannotListen, match="Ports below 1024 are root's: choose another with --port"),
        listening(config(host="127.0.0.1", port=80)),
    ):
        pass


def test_who_comes_before_it_is_ready_waits(tmp_path: Path) -> None:
    with listening(config(path=tmp_path / "polls.sock")), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "polls.sock"))


def test_metrics_have_sixteen_neighbours_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def taken(host: str, port: int, **_: object) -> None:
        tried.append(port)
        raise CannotListen(f"{host}:{port} is taken") from OSError(errno.EADDRINUSE, "taken")

    monkeypatch.setattr(opening, "_tcp_sockets", taken)
    for port in (9101, 65530):
        with pytest.raises(CannotListen), listening_for_metrics(Metrics(port=port)):
            pass

    assert tried == [*range(9101, 9118), *range(65530, 65536)]


def test_a_host_that_does_not_exist_is_said_with_the_setting_that_names_it() -> None:
    with (
        pytest.raises(CannotListen, match=r"nowhere\.invalid.*Choose another with metrics\.host"),
        listening_for_metrics(Metrics(host="nowhere.invalid", port=9101)),
    ):
        pass


def test_a_socket_whose_name_cannot_be_taken_away_stops_nobody_from_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with listening(config(path=tmp_path / "polls.sock")) as sockets:
        monkeypatch.setattr(Path, "unlink", refuse)

        assert unlink(sockets)
