"""The URLs of listening sockets, as printed when the server is ready."""

import socket
from collections.abc import Callable

from polls.config.settings import Config


def network_address() -> str | None:
    """Return this machine's IPv4 address on its network, or None. No packet is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address reserved for documentation (RFC 5737)
        except OSError:
            return None
        address: str = probe.getsockname()[0]
    return address


def ready_message(
    config: Config,
    sockets: list[socket.socket],
    network_address: Callable[[], str | None] = network_address,
) -> str:
    """Return the line that is printed when the server is ready.

    It names the URL, or the UNIX socket; with host 0.0.0.0 also the URL for other devices on the same network.
    """
    if config.path is not None:
        return f"polls is ready on the socket {config.path} (press Ctrl-C to stop)"
    host, port = sockets[0].getsockname()[:2]
    shown = {"::": "::1", "0.0.0.0": "127.0.0.1"}.get(host, config.host)  # nosec B104 # nothing is bound here
    line = f"polls is ready at {_url(shown, port, config.prefix)}"
    if host == "0.0.0.0" and (address := network_address()):  # nosec B104 # nothing is bound here
        line += f", for phones on the same network at {_url(address, port, config.prefix)}"
    return f"{line} (press Ctrl-C to stop)"


def bound_address(sockets: list[socket.socket]) -> str:
    """Return the URL, or the path of the UNIX socket, on which `sockets` listen."""
    if sockets[0].family is socket.AF_UNIX:
        return str(sockets[0].getsockname())
    host, port = sockets[0].getsockname()[:2]
    return _url(host, port, prefix="")


def _url(host: str, port: int, prefix: str) -> str:
    path = f"{prefix}/" if prefix else ""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{path}"
