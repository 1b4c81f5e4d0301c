import errno
import socket
from pathlib import Path
from typing import Any

import pytest

from polls.config.settings import Config, Metrics, Postgres
from polls.server.sockets import CannotListen, listening, listening_for_metrics, unlink


def config(**settings: Any) -> Config:
    return Config(postgres=Postgres(), **{"port": 0, **settings})


def addresses(*hosts: str) -> Any:
    """Return a getaddrinfo that resolves a name to several addresses, as /etc/hosts resolves localhost."""

    def getaddrinfo(_: str, port: int, **__: object) -> list[Any]:
        families = {True: socket.AF_INET6, False: socket.AF_INET}
        return [(families[":" in host], socket.SOCK_STREAM, 0, "", (host, port)) for host in hosts]

    return getaddrinfo


def test_all_addresses_of_a_name_share_one_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", addresses("127.0.0.1", "127.0.0.2"))

    with listening(config(host="both")) as sockets:
        first, second = (listener.getsockname() for listener in sockets)

    assert (first[0], second[0]) == ("127.0.0.1", "127.0.0.2")
    assert first[1] == second[1]


def test_an_address_that_this_machine_lacks_is_skipped_if_there_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", addresses("192.0.2.1", "127.0.0.1"))

    with listening(config(host="both")) as sockets:
        assert [listener.getsockname()[0] for listener in sockets] == ["127.0.0.1"]


def test_an_address_that_this_machine_lacks_is_an_error() -> None:
    with (
        pytest.raises(CannotListen, match=r"192\.0\.2\.1:0: .*Choose another host with --host"),
        listening(config(host="192.0.2.1")),
    ):
        pass


def test_a_port_without_permission_is_an_error_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(socket, "create_server", refuse)

    with (
        pytest.raises(CannotListen, match="Ports below 1024 need root: choose another port with --port"),
        listening(config(host="127.0.0.1", port=80)),
    ):
        pass


def test_a_client_can_connect_before_the_server_is_ready(tmp_path: Path) -> None:
    with listening(config(path=tmp_path / "polls.sock")), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "polls.sock"))


def test_metrics_try_the_next_sixteen_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def fail(address: tuple[str, int], **_: object) -> None:
        tried.append(address[1])
        raise OSError(errno.EADDRINUSE, "in use")

    monkeypatch.setattr(socket, "create_server", fail)
    for port in (9101, 65530):
        with pytest.raises(CannotListen), listening_for_metrics(Metrics(port=port)):
            pass

    assert tried == [*range(9101, 9118), *range(65530, 65536)]


def test_an_unknown_host_for_metrics_is_an_error_that_names_the_setting() -> None:
    with (
        pytest.raises(CannotListen, match=r"nowhere\.invalid.*Choose another with metrics\.host"),
        listening_for_metrics(Metrics(host="nowhere.invalid", port=9101)),
    ):
        pass


def test_a_socket_in_use_for_metrics_is_an_error_that_names_the_setting(tmp_path: Path) -> None:
    path = tmp_path / "metrics.sock"
    with (
        listening_for_metrics(Metrics(path=path)),
        pytest.raises(CannotListen, match=r"another process is listening on it.*with metrics\.path"),
        listening_for_metrics(Metrics(path=path)),
    ):
        pass


def test_a_socket_path_that_cannot_be_removed_does_not_stop_the_shutdown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with listening(config(path=tmp_path / "polls.sock")) as sockets:
        monkeypatch.setattr(Path, "unlink", refuse)

        assert unlink(sockets)
