"""Request ids: one for each request, in its response, on its error page and in its log lines."""

import re
import secrets
from contextvars import ContextVar

from aiohttp import web
from multidict import istr

REQUEST_ID = istr("X-Request-ID")

_VALID_ID = re.compile("[A-Za-z0-9_-]{1,64}")

_current: ContextVar[str] = ContextVar("request_id", default="")


def request_id() -> str:
    """Return the id of the request that is being served in this context, empty outside of requests."""
    return _current.get()


def assign_request_id(request: web.BaseRequest, *, is_proxied: bool) -> str:
    """Return an id for `request`, and set it as the current context's `request_id()`.

    It is a trusted proxy's X-Request-ID if that is valid, else random and from `secrets`: a counter, or numbers that a
    client can predict from its own, would disclose the number of requests.
    """
    proxy_id = request.headers.get(REQUEST_ID) if is_proxied else None
    new_id = proxy_id if proxy_id and _VALID_ID.fullmatch(proxy_id) else secrets.token_hex(8)
    _current.set(new_id)
    return new_id
