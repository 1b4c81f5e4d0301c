"""Same-origin checks, against cross-site request forgery and cross-site WebSockets."""

import logging
from time import monotonic
from typing import TypeAlias
from urllib.parse import urlsplit

from aiohttp import web

from polls.web.keys import CONFIG

logger = logging.getLogger(__name__)

_LOG_INTERVAL = 60  # seconds
_MAX_LOGGED = 100  # characters of a header

_Origin: TypeAlias = tuple[str, str, int | None]


class CrossSiteRequest(Exception):
    """A request that a page of another site sent."""


class CrossSiteLog:
    """Logs refused requests, at most one a minute: a proxy that passes another Host on makes every vote one."""

    def __init__(self) -> None:
        self._next_at = 0.0

    def warn(self, request: web.Request) -> None:
        """Log what was compared, unless another request was logged within the last minute."""
        if monotonic() < self._next_at:
            return
        self._next_at = monotonic() + _LOG_INTERVAL
        logger.warning(
            "refused a request from another site (logged once a minute): its Origin is %r, Host %r, site.url %r. If "
            "visitors open polls at that Origin, set site.url to it, or let the proxy pass the browser's Host on",
            *(request.headers.get(name, "")[:_MAX_LOGGED] for name in ("Origin", "Host")),
            request.app[CONFIG].site.url,
        )


CROSS_SITE_LOG: web.AppKey[CrossSiteLog] = web.AppKey("cross_site_log")


def check_same_origin(request: web.Request) -> None:
    """Raise CrossSiteRequest if a browser sent the request from a page of another site.

    Uses no token, so that cached pages are the same for all visitors: browsers send Sec-Fetch-Site or Origin. A request
    with neither isn't a browser's, and passes. The method is that of Go's net/http.CrossOriginProtection.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site in {"same-origin", "none"} or not (site or "Origin" in request.headers):
        return
    origin = _parse_origin(request.headers.get("Origin", ""))
    if _matches_site_url(origin, request) or (not site and _matches_host(origin, request)):
        return
    request.app[CROSS_SITE_LOG].warn(request)
    raise CrossSiteRequest


def check_websocket_origin(request: web.Request) -> None:
    """Raise CrossSiteRequest if a page of another site opens a WebSocket; browsers always send Origin with these."""
    origin = _parse_origin(request.headers.get("Origin", ""))
    if "Origin" in request.headers and not (_matches_site_url(origin, request) or _matches_host(origin, request)):
        request.app[CROSS_SITE_LOG].warn(request)
        raise CrossSiteRequest


def _parse_origin(url: str) -> _Origin | None:
    """Return scheme, host and port of a URL, or None if it has no host (such as the Origin `null`)."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None
    return (parts.scheme, parts.hostname, port) if parts.hostname else None


def _matches_site_url(origin: _Origin | None, request: web.Request) -> bool:
    return origin is not None and origin == _parse_origin(request.app[CONFIG].site.url or "")


def _matches_host(origin: _Origin | None, request: web.Request) -> bool:
    # Compare host and port alone: a proxy may hide the scheme that the browser used.
    return origin is not None and origin == _parse_origin(f"{origin[0]}://{request.headers.get('Host', '')}")
