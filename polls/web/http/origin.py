"""The origin of the site: scheme, host and port of the URLs that we show."""

import ipaddress
import re
from urllib.parse import urlsplit

from aiohttp import web

from polls.web.http.forwarded import client_scheme
from polls.web.keys import CONFIG

_HOST = re.compile(r"([A-Za-z0-9._-]{1,100}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")


def site_origin(request: web.Request) -> str:
    """Return `site.url`; if it isn't set, what the request says. Raises 400 if its Host header is invalid."""
    return request.app[CONFIG].site.url or _requested_origin(request)


def is_local(url: str) -> bool:
    """Return whether `url` is a loopback address, which other computers and phones can't open."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _requested_origin(request: web.Request) -> str:
    host = request.headers.get("Host", "")
    origin = f"{client_scheme(request)}://{host}"
    try:
        is_valid = _HOST.fullmatch(host) and urlsplit(origin).port != 0
    except ValueError:  # an invalid IPv6 address in brackets, or a port out of range
        is_valid = False
    if not is_valid:
        raise web.HTTPBadRequest
    return origin
