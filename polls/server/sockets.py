"""Open the sockets that polls listens on, before anything else starts."""

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from polls.config.settings import Config, Metrics

_NEIGHBOURS = 16  # ports that follow one, for processes that have it in their configuration, too


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


def unlink(sockets: list[socket.socket]) -> bool:
    """Let nobody new find a way here, where that can be done: a UNIX socket has a name to be taken away."""
    named = [each for each in sockets if isinstance(each, _NamedSocket)]
    for each in named:
        each.unlink()
    return bool(named)


@contextmanager
def listening_for_metrics(metrics: Metrics) -> Iterator[list[socket.socket]]:
    """Sockets where `metrics` are told, at the next free port where theirs is taken. Raises CannotListen."""
    if metrics.path is not None:
        with _unix_socket(metrics.path) as unix_socket:
            yield [unix_socket]
        return
    with ExitStack() as opened:
        yield [opened.enter_context(tcp_socket) for tcp_socket in _next_free(metrics.host, metrics.port or 0)]


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
            unix_socket.unlink()


class _NamedSocket(socket.socket):
    """A UNIX socket that takes its name out of the file system, when it is to be found no more."""

    def named(self, path: Path) -> None:
        self._path = path
        self._inode = path.stat().st_ino

    def unlink(self) -> None:
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
