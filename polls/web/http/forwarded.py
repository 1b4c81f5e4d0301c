"""The client's network and scheme, from X-Forwarded-For and X-Forwarded-Proto if there are trusted proxies."""

import ipaddress
import re
from typing import TypeAlias

from aiohttp import hdrs, web

from polls.web.keys import CONFIG

_IP: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

# 203.0.113.7 and 203.0.113.7:5678; [2001:db8::7] and [2001:db8::7]:5678; 2001:db8::7.
_IP_WITH_PORT = re.compile(r"([0-9.]+)(?::[0-9]*)?|\[([^\]]+)\](?::[0-9]*)?|([^\[\]]+)")


def client_network(request: web.Request) -> str:
    """Return the client's IPv4 address or IPv6 /64 network, which clients can't change easily; empty if unknown.

    Behind trusted proxies, it is taken from the value that the first of them wrote into X-Forwarded-For.
    """
    ip = _client_ip(request)
    if ip is None:  # a UNIX socket has no address
        return ""
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ip.ipv4_mapped or ipaddress.ip_network((int(ip) >> 64 << 64, 64)))
    return str(ip)


def client_scheme(request: web.Request) -> str:
    """Return the scheme, http or https, that the client used towards us or the first trusted proxy."""
    forwarded = _forwarded(request, hdrs.X_FORWARDED_PROTO)
    return forwarded if forwarded in {"http", "https"} else request.scheme


def came_by_http(request: web.Request) -> bool:
    """Return whether a trusted proxy says that a client on another machine uses plain http."""
    if _forwarded(request, hdrs.X_FORWARDED_PROTO) != "http":
        return False
    ip = _client_ip(request)
    return ip is not None and not ip.is_loopback


def is_https(request: web.Request) -> bool:
    """Return whether clients use https: in `site.url`, or for this request."""
    return request.app[CONFIG].site.is_https or client_scheme(request) == "https"


def _client_ip(request: web.Request) -> _IP | None:
    return _parse_ip(_forwarded(request, hdrs.X_FORWARDED_FOR) or request.remote or "")


def _parse_ip(text: str) -> _IP | None:
    """Parse an IP address, to which some proxies append a port."""
    match = _IP_WITH_PORT.fullmatch(text)
    try:
        return ipaddress.ip_address(match[1] or match[2] or match[3]) if match else None
    except ValueError:
        return None


def _forwarded(request: web.Request, name: str) -> str | None:
    """Return the value that the first trusted proxy wrote into the header `name`; clients can forge all before it."""
    proxies = request.app[CONFIG].trusted_proxies
    if not proxies or name not in request.headers:
        return None
    # Each proxy appends one value, except that often a single proxy sets X-Forwarded-Proto.
    return ",".join(request.headers.getall(name)).split(",")[-proxies:][0].strip()
