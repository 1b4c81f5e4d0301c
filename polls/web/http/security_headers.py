"""Response headers that restrict what browsers do with our pages."""

from collections.abc import Mapping

from aiohttp import web
from multidict import istr

from polls.config.settings import Config
from polls.web.http.secret_paths import has_secret_path

RESPONSE_HEADERS: web.AppKey[Mapping[str, str]] = web.AppKey("response_headers")

# No inline styles or scripts, nothing from other sites, no framing. Referrer-Policy isn't `no-referrer`: with that,
# browsers on plain http send `Origin: null`, and `check_same_origin` would reject every vote.
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'; "
        "manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Server": "polls",
}
HTTPS_HEADERS = {"Strict-Transport-Security": "max-age=31536000"}  # a year (RFC 6797)


def security_headers(config: Config) -> dict[str, str]:
    """Return the headers of every response; with Strict-Transport-Security if `site.url` is https."""
    headers = SECURITY_HEADERS | HTTPS_HEADERS if config.site.is_https else SECURITY_HEADERS
    return {istr(name): value for name, value in headers.items()}  # istr: multidict need not fold case each time


def set_security_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Set the security headers that `response` doesn't set itself. No page with a secret path is told to others."""
    headers = response.headers
    if has_secret_path(request):
        headers["Referrer-Policy"] = "no-referrer"
    for name, value in request.app[RESPONSE_HEADERS].items():
        headers.setdefault(name, value)
