"""Where polls listens: sockets bound before anything else starts, so that a port in use is said at once."""

import errno
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from polls.config import Config


class CannotListen(Exception):
    """The configured address can't be had; the message says why and what to do, in one line."""


@contextmanager
def bound(config: Config) -> Iterator[list[socket.socket]]:
    """Sockets for `config.path`, else for every address of `config.host`; closed at the end. Raises CannotListen.

    They don't accept yet: whoever connects before the application is ready is refused, as a proxy expects.
    """
    with ExitStack() as opened:
        if config.path is not None:
            yield [opened.enter_context(_unix_socket(config.path))]
        else:
            sockets = _tcp_sockets(config.host, config.port)
            for bound_socket in sockets:
                opened.enter_context(bound_socket)
            yield sockets


def announcement(config: Config, sockets: list[socket.socket]) -> str:
    """Tell whoever started polls where it is, and what to type on a phone when the whole network is let in."""
    if config.path is not None:
        return f"polls is ready on the socket {config.path} (Ctrl-C ends it)"
    host, port = sockets[0].getsockname()[:2]
    if host not in {"0.0.0.0", "::"}:  # noqa: S104 - nothing is bound here
        return f"polls is ready at {_url(config.host, port)} (Ctrl-C ends it)"
    line = f"polls is ready at {_url('127.0.0.1', port)}"
    if address := _network_address():
        line += f", for phones on the same network at {_url(address, port)}"
    return f"{line} (Ctrl-C ends it)"


@contextmanager
def _unix_socket(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as unix_socket:
        try:
            if path.exists():
                _remove_abandoned(path)
            unix_socket.bind(str(path))
            ours = path.stat().st_ino
        except OSError as error:
            reason = error.strerror or error
            raise CannotListen(f"can't listen on {path}: {reason}. Choose another with --path") from error
        try:
            yield unix_socket
        finally:
            # A successor may have taken the name over already.
            if path.exists() and path.stat().st_ino == ours:
                path.unlink()


def _remove_abandoned(path: Path) -> None:
    """Remove the socket of a process that is gone. What is in use, or no socket, stays."""
    if not stat.S_ISSOCK(path.stat().st_mode):
        raise OSError(errno.EEXIST, "there is a file of that name")
    with socket.socket(socket.AF_UNIX) as attempt:
        if attempt.connect_ex(str(path)) == 0:
            raise OSError(errno.EADDRINUSE, "another process serves it")
    path.unlink()


def _tcp_sockets(host: str, port: int) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in addresses:
            tcp_socket = socket.socket(family, kind, protocol)
            sockets.append(tcp_socket)
            tcp_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                tcp_socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            # With port 0 the first address takes a free one, and the others the same.
            tcp_socket.bind((address[0], port, *address[2:]))
            port = tcp_socket.getsockname()[1]
    except OSError as error:
        for tcp_socket in sockets:
            tcp_socket.close()
        if isinstance(error, socket.gaierror):
            raise CannotListen(
                f"there is no address called {host}: {error.strerror}. Choose another with --host"
            ) from error
        raise CannotListen(
            f"can't listen on {host}:{port}: {error.strerror}. End what listens there, or choose another with --port"
        ) from error
    return sockets


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _network_address() -> str | None:
    """This machine's address on its network: the one that it would send from. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address kept for documentation (RFC 5737)
        except OSError:
            return None
        address: str = probe.getsockname()[0]
    return address
