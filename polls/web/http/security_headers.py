"""The headers that tell browsers what to refuse."""

from collections.abc import Mapping

from aiohttp import web
from multidict import istr

from polls.config.settings import Config

RESPONSE_HEADERS: web.AppKey[Mapping[str, str]] = web.AppKey("security_headers")


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
HTTPS_HEADERS = {"Strict-Transport-Security": "max-age=31536000"}  # a year (RFC 6797)


def security_headers(config: Config) -> dict[str, str]:
    """The headers of every answer. Where the public address is https, browsers are to come by nothing else."""
    headers = SECURITY_HEADERS | HTTPS_HEADERS if config.site.is_https else SECURITY_HEADERS
    return {istr(name): value for name, value in headers.items()}  # names that compare fast


def set_security_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Set the headers that protect visitors; a response that says otherwise itself is left alone."""
    headers = response.headers
    for name, value in request.app[RESPONSE_HEADERS].items():
        headers.setdefault(name, value)
