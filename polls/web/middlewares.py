"""What every request passes on its way in, and every response on its way out."""

import errno
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web

from polls.web.errors import CrossSiteRequest, respond
from polls.web.keys import CONFIG
from polls.web.static import static_caching

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_SAFE_METHODS = {"GET", "HEAD", "OPTIONS", "TRACE"}

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


@web.middleware
async def security_headers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Harden every response; one that says otherwise itself is left alone."""
    try:
        response = await handler(request)
    except web.HTTPException as redirect:
        _default(redirect, SECURITY_HEADERS)
        raise
    _default(response, SECURITY_HEADERS)
    return response


@web.middleware
async def error_pages(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whatever a view raises becomes a page, or JSON."""
    try:
        return await handler(request)
    except Exception as error:  # noqa: BLE001 - respond() tells refusals from faults, and logs the faults
        return respond(request, error)


@web.middleware
async def same_site_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what another site's page tries to change in a visitor's name.

    Needs no token, so that pages are the same for everyone: browsers say where a request comes from. One that says
    nothing is no browser's. The method is that of Go's net/http.CrossOriginProtection.
    """
    if request.method not in _SAFE_METHODS and _crosses_sites(request):
        raise CrossSiteRequest
    return await handler(request)


@web.middleware
async def static_files(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Say how long a static file may be kept."""
    try:
        response = await handler(request)
    except OSError as error:
        # aiohttp asks the file system about any name; one that is too long for a file is no file's.
        if error.errno == errno.ENAMETOOLONG:
            raise web.HTTPNotFound from error
        raise
    if isinstance(response, web.FileResponse):
        response.headers["Cache-Control"] = static_caching(request)
    return response


# The outermost first: headers go on error pages too, and the errors of everything further in become pages.
MIDDLEWARES = (security_headers, error_pages, same_site_only, static_files)


def _default(response: web.StreamResponse, headers: dict[str, str]) -> None:
    for name, value in headers.items():
        response.headers.setdefault(name, value)


def _crosses_sites(request: web.Request) -> bool:
    origin = _origin(request.headers.get("Origin", ""))
    public = request.app[CONFIG].site.url
    if public and origin and origin == _origin(public):
        return False
    if site := request.headers.get("Sec-Fetch-Site"):
        return site not in {"same-origin", "none"}
    if "Origin" not in request.headers:
        return False
    # Which scheme the visitor used, a proxy in front of us may hide: host and port must do.
    return origin is None or origin != _origin(f"{origin[0]}://{request.headers.get('Host', '')}")


def _origin(address: str) -> tuple[str, str, int | None] | None:
    """Scheme, host and port of an address, None of what has none (`null`, for one)."""
    try:
        parts = urlsplit(address)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None
    return (parts.scheme, parts.hostname, port) if parts.hostname else None
