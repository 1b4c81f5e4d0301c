"""What protects visitors: headers that tell browsers what to refuse, and refusing what other sites ask for."""

from typing import TypeAlias
from urllib.parse import urlsplit

from aiohttp import web
from multidict import istr

from polls.config import Config
from polls.web.errors import CrossSiteRequest
from polls.web.keys import CONFIG, HARDENING

# Nothing inline, nothing from elsewhere, nobody's frame. The referrer policy is not `no-referrer`: with that, browsers
# on a plain http network send `Origin: null`, and the check below would refuse everybody's vote.
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Server": "polls",
}
HTTPS_ALONE = {"Strict-Transport-Security": "max-age=31536000"}  # a year (RFC 6797)

_Origin: TypeAlias = tuple[str, str, int | None]


def security_headers(config: Config) -> dict[str, str]:
    """The headers of every answer. Where the public address is https, browsers are to come by nothing else."""
    headers = SECURITY_HEADERS | HTTPS_ALONE if config.site.is_https else SECURITY_HEADERS
    return {istr(name): value for name, value in headers.items()}  # names that compare fast


def harden(request: web.Request, response: web.StreamResponse) -> None:
    """Set the headers that protect visitors; a response that says otherwise itself is left alone."""
    headers = response.headers
    for name, value in request.app[HARDENING].items():
        headers.setdefault(name, value)


def refuse_other_sites(request: web.Request) -> None:
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


def refuse_other_sites_sockets(request: web.Request) -> None:
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
