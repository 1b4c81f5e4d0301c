"""What every request passes on its way in, and every response on its way out."""

import errno
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web

from polls.web.errors import CrossSiteRequest, respond
from polls.web.keys import CONFIG

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
    """Let browsers keep a static file for a year, if its address names the very content that it gets."""
    try:
        response = await handler(request)
    except OSError as error:
        # aiohttp asks the file system about any name; one that is too long for a file is no file's.
        if error.errno == errno.ENAMETOOLONG:
            raise web.HTTPNotFound from error
        raise
    resource = request.match_info.route.resource
    if isinstance(resource, web.StaticResource) and isinstance(response, web.FileResponse):
        current = resource.url_for(filename=request.match_info["filename"], append_version=True)
        # During a roll-out, the page of one version may ask the other version for a file.
        same = request.query.get("v") == current.query.get("v")
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if same else "no-cache"
    return response


# The outermost first: headers go on error pages too, and the errors of everything further in become pages.
MIDDLEWARES = (security_headers, error_pages, same_site_only, static_files)


def _default(response: web.StreamResponse, headers: dict[str, str]) -> None:
    for name, value in headers.items():
        response.headers.setdefault(name, value)


def _crosses_sites(request: web.Request) -> bool:
    origin = request.headers.get("Origin")
    public = request.app[CONFIG].site.url
    if origin and public and _host(origin) == _host(public):
        return False
    if site := request.headers.get("Sec-Fetch-Site"):
        return site not in {"same-origin", "none"}
    return origin is not None and _host(origin) != request.headers.get("Host", "").lower()


def _host(address: str) -> str | None:
    """Host and port of an address in lower case, None of what is none (`null`, for one)."""
    try:
        return urlsplit(address).netloc.lower() or None
    except ValueError:
        return None
