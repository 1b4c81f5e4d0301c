"""Same-origin checks, against cross-site request forgery and cross-site WebSockets."""

from typing import TypeAlias
from urllib.parse import urlsplit

from aiohttp import web

from polls.web.keys import CONFIG

_Origin: TypeAlias = tuple[str, str, int | None]


class CrossSiteRequest(Exception):
    """A request that a page of another site sent."""


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
    raise CrossSiteRequest


def check_websocket_origin(request: web.Request) -> None:
    """Raise CrossSiteRequest if a page of another site opens a WebSocket; browsers always send Origin with these."""
    origin = _parse_origin(request.headers.get("Origin", ""))
    if "Origin" in request.headers and not (_matches_site_url(origin, request) or _matches_host(origin, request)):
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
