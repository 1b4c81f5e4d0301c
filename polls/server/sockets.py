"""The listening sockets, opened before anything else starts."""

import errno
import os
import socket
import stat
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from polls.config.settings import Config, Metrics

_NEXT_PORTS = 16  # ports after metrics.port that are tried if it is in use: several processes may share a configuration


class CannotListen(Exception):
    """The configured address can't be bound; the message says why and what to do, in one line."""


def listening(config: Config) -> AbstractContextManager[list[socket.socket]]:
    """Listen on `config.path`, else on every address of `config.host`; close the sockets at the end.

    Clients that connect before the application is ready wait in the kernel's queue. Raises CannotListen.
    """
    if config.path is not None:
        return _closing([_unix_socket(config.path, "--path")])
    return _closing(_tcp_sockets(config.host, config.port, ("--host", "--port")))


def listening_for_metrics(metrics: Metrics) -> AbstractContextManager[list[socket.socket]]:
    """Listen on `metrics.path`, else on the first free port from `metrics.port` up. Raises CannotListen."""
    if metrics.path is not None:
        return _closing([_unix_socket(metrics.path, "metrics.path")])
    return _closing(_first_free(metrics.host, metrics.port or 0))


def unlink(sockets: Sequence[socket.socket]) -> bool:
    """Remove the paths of UNIX sockets, so that new clients can't connect. Return whether there were any."""
    unix_sockets = [each for each in sockets if isinstance(each, _UnixSocket)]
    for unix_socket in unix_sockets:
        unix_socket.unlink()
    return bool(unix_sockets)


@contextmanager
def _closing(sockets: list[socket.socket]) -> Iterator[list[socket.socket]]:
    try:
        yield sockets
    finally:
        unlink(sockets)
        for each in sockets:
            each.close()


def _unix_socket(path: Path, option: str) -> socket.socket:
    unix_socket = _UnixSocket(socket.AF_UNIX)
    try:
        if path.exists():
            _remove_stale(path)
        unix_socket.bind(str(path))
        unix_socket.listen()
        unix_socket.remember_path(path)
    except OSError as error:
        unix_socket.close()
        reason = error.strerror or error
        raise CannotListen(f"can't listen on {path}: {reason}. Choose another path with {option}") from error
    return unix_socket


class _UnixSocket(socket.socket):
    """A UNIX socket that can remove its path."""

    def remember_path(self, path: Path) -> None:
        self._path = path
        self._inode = path.stat().st_ino

    def unlink(self) -> None:
        # A failure (the file system may be read-only by now) must not stop the shutdown.
        with suppress(OSError):
            # Another process may have replaced the path already.
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()


def _remove_stale(path: Path) -> None:
    """Remove the socket of a process that has ended. Raises OSError if it is in use, or not a socket."""
    if not stat.S_ISSOCK(path.stat().st_mode):
        raise OSError(errno.EEXIST, "a file with that name exists")
    with socket.socket(socket.AF_UNIX) as client:
        if client.connect_ex(str(path)) == 0:
            raise OSError(errno.EADDRINUSE, "another process is listening on it")
    path.unlink()


def _first_free(host: str, port: int) -> list[socket.socket]:
    """Listen on `port`, or the first free port after it."""
    last = min(port + _NEXT_PORTS, 65535)
    while True:
        try:
            return _tcp_sockets(host, port, ("metrics.host", "metrics.port"))
        except CannotListen as error:
            is_in_use = isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EADDRINUSE
            if not is_in_use or port == last:
                raise
        port += 1


def _tcp_sockets(host: str, port: int, options: tuple[str, str]) -> list[socket.socket]:
    """Listen on each address of `host`, except those that this machine lacks (IPv6, for example).

    `options` are the settings that choose the host and the port, for the message. Raises CannotListen.
    """
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CannotListen(f"host {host!r} has no address: {reason}. Choose another with {options[0]}") from error
    sockets: list[socket.socket] = []
    errors: list[OSError] = []
    for family, *_, address in addresses:
        try:
            sockets.append(socket.create_server((address[0], port, *address[2:]), family=family))
        except OSError as error:
            errors.append(error)
        else:
            # With port 0 the first address gets a free port, which the others share.
            port = sockets[-1].getsockname()[1]
    unavailable = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
    if sockets and all(error.errno in unavailable for error in errors):
        return sockets
    for tcp_socket in sockets:
        tcp_socket.close()
    worst = next((error for error in errors if error.errno not in unavailable), errors[0])
    raise CannotListen(f"can't listen on {host}:{port}: {_advice(worst, *options)}") from worst


def _advice(error: OSError, host_option: str, port_option: str) -> str:
    reason = os.strerror(error.errno or 0)
    match error.errno:
        case errno.EADDRINUSE:
            return f"{reason}. Stop the process that listens there, or choose another port with {port_option}"
        case errno.EACCES:
            return f"{reason}. Ports below 1024 need root: choose another port with {port_option}"
    return f"{reason}. Choose another host with {host_option}"
