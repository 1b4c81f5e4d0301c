"""The URLs that are printed when polls has started."""

import socket

from polls.config.settings import Config


def bound_address(sockets: list[socket.socket]) -> str:
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
