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


class RequestIds:
    """The source of request ids: a trusted proxy's X-Request-ID if it is valid, else a random id.

    A counter would disclose the number of requests.
    """

    def __init__(self, *, is_proxied: bool) -> None:
        self._is_proxied = is_proxied

    def assign(self, request: web.Request) -> str:
        """Return the id of `request`, and set it as the current context's `request_id()`."""
        new_id = (self._proxy_id(request) if self._is_proxied else None) or secrets.token_hex(8)
        _current.set(new_id)
        return new_id

    def _proxy_id(self, request: web.Request) -> str | None:
        proxy_id = request.headers.get(REQUEST_ID)
        return proxy_id if proxy_id and _VALID_ID.fullmatch(proxy_id) else None


REQUEST_IDS = web.AppKey("request_ids", RequestIds)
