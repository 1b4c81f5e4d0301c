"""Where a request comes from, also behind the operator's own proxies."""

import ipaddress
import re

from aiohttp import hdrs, web

from polls.web.keys import CONFIG

# 203.0.113.7 and 203.0.113.7:5678; [2001:db8::7] and [2001:db8::7]:5678; 2001:db8::7.
_ADDRESS = re.compile(r"([0-9.]+)(?::[0-9]*)?|\[([^\]]+)\](?::[0-9]*)?|([^\[\]]+)")


def client_network(request: web.Request) -> str:
    """Where a visitor is, by what they can't easily change: an address of version 4, or 64 bits of version 6.

    Behind proxies of the operator's own it is what the first of them wrote into X-Forwarded-For.
    """
    found = _address(_forwarded(request, hdrs.X_FORWARDED_FOR) or request.remote or "")
    if found is None:  # a UNIX socket has none
        return ""
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is None:
            return str(ipaddress.ip_network((int(found) >> 64 << 64, 64)))
        return str(found.ipv4_mapped)
    return str(found)


def client_scheme(request: web.Request) -> str:
    """How a visitor came, to us or to the first of the operator's own proxies: by http or by https."""
    forwarded = _forwarded(request, hdrs.X_FORWARDED_PROTO)
    return forwarded if forwarded in {"http", "https"} else request.scheme


def is_https(request: web.Request) -> bool:
    """Whether visitors come by https, here or at the public address."""
    return request.app[CONFIG].site.is_https or client_scheme(request) == "https"


def _address(word: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address in a word, beside which some proxies write a port."""
    parts = _ADDRESS.fullmatch(word)
    try:
        return ipaddress.ip_address(parts[1] or parts[2] or parts[3]) if parts else None
    except ValueError:
        return None


def _forwarded(request: web.Request, name: str) -> str | None:
    """What the first trusted proxy wrote into the header `name`. Whatever stands before it may be made up."""
    proxies = request.app[CONFIG].trusted_proxies
    if not proxies or name not in request.headers:
        return None
    # Each proxy adds one at the end; X-Forwarded-Proto is often the word of one alone.
    return ",".join(request.headers.getall(name)).split(",")[-proxies:][0].strip()
