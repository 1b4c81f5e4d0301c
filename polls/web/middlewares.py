"""What every request passes on its way in, and every response on its way out."""

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web
from multidict import istr

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
_SECURITY_HEADERS = [(istr(name), value) for name, value in SECURITY_HEADERS.items()]  # names that compare fast


@web.middleware
async def answers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what another site asks for; make pages, or JSON, of errors; say how long files may be kept; harden all.

    One middleware, since each more costs every vote some microseconds.
    """
    try:
        if request.method not in _SAFE_METHODS:
            _refuse_other_sites(request)
        response = await handler(request)
    except (web.HTTPSuccessful, web.HTTPRedirection) as no_error:
        _harden(no_error)
        raise
    except Exception as error:  # noqa: BLE001 - respond() tells refusals from faults, and logs the faults
        response = respond(request, error)
    if isinstance(response, web.FileResponse):
        response.headers["Cache-Control"] = static_caching(request)
    _harden(response)
    return response


MIDDLEWARES = (answers,)


def _harden(response: web.StreamResponse) -> None:
    """Set the headers that protect visitors; a response that says otherwise itself is left alone."""
    headers = response.headers
    for name, value in _SECURITY_HEADERS:
        headers.setdefault(name, value)


def _refuse_other_sites(request: web.Request) -> None:
    """Raise CrossSiteRequest for what a page of another site sends in a visitor's name.

    Needs no token, so that pages are the same for everyone: browsers say where a request comes from. One that says
    nothing is no browser's. The method is that of Go's net/http.CrossOriginProtection.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site in {"same-origin", "none"}:
        return
    origin = _origin(request.headers.get("Origin", ""))
    public = request.app[CONFIG].site.url
    if public and origin and origin == _origin(public):
        return
    if not site:
        if "Origin" not in request.headers:
            return
        # Which scheme the visitor used, a proxy in front of us may hide: host and port must do.
        if origin is not None and origin == _origin(f"{origin[0]}://{request.headers.get('Host', '')}"):
            return
    raise CrossSiteRequest


def _origin(address: str) -> tuple[str, str, int | None] | None:
    """Scheme, host and port of an address, None of what has none (`null`, for one)."""
    try:
        parts = urlsplit(address)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None
    return (parts.scheme, parts.hostname, port) if parts.hostname else None
