"""Refuse requests that pages of other sites send."""

from typing import TypeAlias
from urllib.parse import urlsplit

from aiohttp import web

from polls.web.http.errors import CrossSiteRequest
from polls.web.keys import CONFIG

_Origin: TypeAlias = tuple[str, str, int | None]


def check_same_origin(request: web.Request) -> None:
    """Raise CrossSiteRequest for what a page of another site sends in a visitor's name.

    Needs no token, so that pages are the same for everyone: browsers say where a request comes from. One that says
    nothing is no browser's. The method is that of Go's net/http.CrossOriginProtection.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site in {"same-origin", "none"} or not (site or "Origin" in request.headers):
        return
    origin = _origin(request.headers.get("Origin", ""))
    if _is_public(origin, request) or (not site and _is_host(origin, request)):
        return
    raise CrossSiteRequest


def check_websocket_origin(request: web.Request) -> None:
    """Raise CrossSiteRequest for a WebSocket of another site's page: browsers always say whose page opens one."""
    origin = _origin(request.headers.get("Origin", ""))
    if "Origin" in request.headers and not (_is_public(origin, request) or _is_host(origin, request)):
        raise CrossSiteRequest


def _is_public(origin: _Origin | None, request: web.Request) -> bool:
    """Whether it is the public address in the configuration."""
    public = request.app[CONFIG].site.url
    return public is not None and origin is not None and origin == _origin(public)


def _is_host(origin: _Origin | None, request: web.Request) -> bool:
    """Whether it is the host that the request was sent to."""
    # Which scheme the visitor used, a proxy in front of us may hide: host and port must do.
    return origin is not None and origin == _origin(f"{origin[0]}://{request.headers.get('Host', '')}")


def _origin(address: str) -> _Origin | None:
    """Scheme, host and port of an address, None of what has none (`null`, for one)."""
    try:
        parts = urlsplit(address)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None
    return (parts.scheme, parts.hostname, port) if parts.hostname else None
