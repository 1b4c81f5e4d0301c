"""Addresses: those of ours that visitors bring along, and those that visitors come from."""

import ipaddress
import re

from aiohttp import hdrs, web

from polls.web.keys import CONFIG

# From the root, and not `//host` or `/\host`, which browsers take for another site.
_OWN_ADDRESS = re.compile(r"/(?![/\\])[\x21-\x7e]*")


def own_address(brought: object, otherwise: str) -> str:
    """Where a visitor wants to go on, if that is an address of our own."""
    return brought if isinstance(brought, str) and _OWN_ADDRESS.fullmatch(brought) else otherwise


def network_of(request: web.Request) -> str:
    """Where a visitor is, by what they can't easily change: an address of version 4, or 64 bits of version 6.

    Behind a proxy of the operator's own it is the last address that X-Forwarded-For names: the proxy wrote that one.
    """
    address = request.remote or ""
    if request.app[CONFIG].behind_proxy:
        address = ",".join(request.headers.getall(hdrs.X_FORWARDED_FOR, [])).rpartition(",")[2].strip()
    try:
        found = ipaddress.ip_address(address)
    except ValueError:  # a UNIX socket has none
        return ""
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is None:
            return str(ipaddress.ip_network((int(found) >> 64 << 64, 64)))
        return str(found.ipv4_mapped)
    return str(found)
