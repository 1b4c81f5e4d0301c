"""Where polls listens, and how many it lets in.

Sockets are opened before anything else starts, so that a port in use is said at once.
"""

import asyncio
import errno
import logging
import os
import socket
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from time import monotonic

from aiohttp import web

from polls.config import Config, Metrics

logger = logging.getLogger(__name__)

_NEIGHBOURS = 16  # ports that follow one, for processes that have it in their configuration, too
_SILENCE = 10  # seconds between two complaints that there are too many connections


class CannotListen(Exception):
    """The configured address can't be had; the message says why and what to do, in one line."""


@contextmanager
def listening(config: Config) -> Iterator[list[socket.socket]]:
    """Sockets on `config.path`, else on every address of `config.host`; closed at the end. Raises CannotListen.

    Whoever connects before the application is ready waits for it.
    """
    if config.path is not None:
        with _unix_socket(config.path) as unix_socket:
            yield [unix_socket]
        return
    with ExitStack() as opened:
        yield [opened.enter_context(tcp_socket) for tcp_socket in _tcp_sockets(config.host, config.port)]


def withdraw(sockets: list[socket.socket]) -> bool:
    """Let nobody new find a way here, where that can be done: a UNIX socket has a name to be taken away."""
    named = [each for each in sockets if isinstance(each, _NamedSocket)]
    for each in named:
        each.withdraw()
    return bool(named)


class Door:
    """Lets `most` connections in to `server`, and closes those that come beyond."""

    def __init__(self, server: web.Server, most: int) -> None:
        self._server = server
        self._most = most
        # Who was let in in this turn of the loop: asyncio takes in all who are waiting before the server knows of one.
        self._arriving: deque[web.RequestHandler] = deque()
        self._turned_away = 0
        self._silent_until = 0.0

    @property
    def requests_count(self) -> int:
        """How many requests the server has had, as gunicorn's worker wants to know."""
        return self._server.requests_count

    def __call__(self) -> asyncio.BaseProtocol:
        """What serves a connection that has just been made."""
        while self._arriving and self._arriving[0].transport:
            self._arriving.popleft()
        if len(self._server.connections) + len(self._arriving) < self._most:
            if not self._arriving:
                loop = asyncio.get_running_loop()
                loop.call_soon(loop.call_soon, self._arriving.clear)
            self._arriving.append(self._server())
            return self._arriving[-1]
        self._turned_away += 1
        if monotonic() >= self._silent_until:
            logger.warning(
                "%d connections were closed at once, since there were %d already (limits.connections)",
                self._turned_away,
                self._most,
            )
            self._turned_away = 0
            self._silent_until = monotonic() + _SILENCE
        return _TurnedAway()


class _TurnedAway(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        transport.abort()


@contextmanager
def listening_for_metrics(metrics: Metrics) -> Iterator[list[socket.socket]]:
    """Sockets where `metrics` are told, at the next free port where theirs is taken. Raises CannotListen."""
    if metrics.path is not None:
        with _unix_socket(metrics.path) as unix_socket:
            yield [unix_socket]
        return
    with ExitStack() as opened:
        yield [opened.enter_context(tcp_socket) for tcp_socket in _next_free(metrics.host, metrics.port or 0)]


def whereabouts(sockets: list[socket.socket]) -> str:
    """Where these sockets are: a URL, or a path."""
    if sockets[0].family is socket.AF_UNIX:
        return str(sockets[0].getsockname())
    host, port = sockets[0].getsockname()[:2]
    return _url(host, port, prefix="")


def announcement(config: Config, sockets: list[socket.socket]) -> str:
    """Tell whoever started polls where it is, and what to type on a phone when the whole network is let in."""
    if config.path is not None:
        return f"polls is ready on the socket {config.path} (Ctrl-C ends it)"
    host, port = sockets[0].getsockname()[:2]
    if host == "::":
        return f"polls is ready at {_url('::1', port, config.prefix)} (Ctrl-C ends it)"
    if host != "0.0.0.0":  # noqa: S104 - nothing is bound here
        return f"polls is ready at {_url(config.host, port, config.prefix)} (Ctrl-C ends it)"
    line = f"polls is ready at {_url('127.0.0.1', port, config.prefix)}"
    if address := _network_address():
        line += f", for phones on the same network at {_url(address, port, config.prefix)}"
    return f"{line} (Ctrl-C ends it)"


@contextmanager
def _unix_socket(path: Path) -> Iterator[socket.socket]:
    with _NamedSocket(socket.AF_UNIX) as unix_socket:
        try:
            if path.exists():
                _remove_abandoned(path)
            unix_socket.bind(str(path))
            unix_socket.listen()
            unix_socket.named(path)
        except OSError as error:
            reason = error.strerror or error
            raise CannotListen(f"can't listen on {path}: {reason}. Choose another with --path") from error
        try:
            yield unix_socket
        finally:
            unix_socket.withdraw()


class _NamedSocket(socket.socket):
    """A UNIX socket that takes its name out of the file system, when it is to be found no more."""

    def named(self, path: Path) -> None:
        self._path = path
        self._inode = path.stat().st_ino

    def withdraw(self) -> None:
        # Where the name can't be taken away (the disk may be read-only by now), the end goes on all the same.
        with suppress(OSError):
            # A successor may have taken the name over already.
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()


def _remove_abandoned(path: Path) -> None:
    """Remove the socket of a process that is gone. What is in use, or no socket, stays."""
    if not stat.S_ISSOCK(path.stat().st_mode):
        raise OSError(errno.EEXIST, "there is a file of that name")
    with socket.socket(socket.AF_UNIX) as attempt:
        if attempt.connect_ex(str(path)) == 0:
            raise OSError(errno.EADDRINUSE, "another process serves it")
    path.unlink()


def _next_free(host: str, port: int) -> list[socket.socket]:
    """Sockets at `port` or one of its neighbours: several processes may have one configuration."""
    last = min(port + _NEIGHBOURS, 65535)
    while True:
        try:
            return _tcp_sockets(host, port, options=("metrics.host", "metrics.port"))
        except CannotListen as refusal:
            is_taken = isinstance(refusal.__cause__, OSError) and refusal.__cause__.errno == errno.EADDRINUSE
            if not is_taken or port == last:
                raise
        port += 1


def _tcp_sockets(host: str, port: int, options: tuple[str, str] = ("--host", "--port")) -> list[socket.socket]:
    """A listening socket for each address of `host`; where this machine lacks a kind of address, for the others.

    `options` are what chooses another host, and another port.
    """
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CannotListen(f"there is no address {host!r}: {reason}. Choose another with {options[0]}") from error
    sockets: list[socket.socket] = []
    refusals: list[OSError] = []
    for family, *_, address in addresses:
        try:
            sockets.append(socket.create_server((address[0], port, *address[2:]), family=family))
        except OSError as error:
            refusals.append(error)
        else:
            # With port 0 the first address takes a free one, and the others the same.
            port = sockets[-1].getsockname()[1]
    lacking = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
    if sockets and all(refusal.errno in lacking for refusal in refusals):
        return sockets
    for tcp_socket in sockets:
        tcp_socket.close()
    worst = next((refusal for refusal in refusals if refusal.errno not in lacking), refusals[0])
    raise CannotListen(f"can't listen on {host}:{port}: {_advice(worst, *options)}") from worst


def _advice(refusal: OSError, host_option: str, port_option: str) -> str:
    reason = os.strerror(refusal.errno or 0)
    match refusal.errno:
        case errno.EADDRINUSE:
            return f"{reason}. End what listens there, or choose another with {port_option}"
        case errno.EACCES:
            return f"{reason}. Ports below 1024 are root's: choose another with {port_option}"
    return f"{reason}. Choose another address with {host_option}"


def _url(host: str, port: int, prefix: str) -> str:
    path = f"{prefix}/" if prefix else ""
    return f"http://[{host}]:{port}{path}" if ":" in host else f"http://{host}:{port}{path}"


def _network_address() -> str | None:
    """This machine's address on its network: the one that it would send from. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address kept for documentation (RFC 5737)
        except OSError:
            return None
        address: str = probe.getsockname()[0]
    return address
