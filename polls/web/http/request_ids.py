"""Requests by name: an id for each, in its answer, on its error page, and in whatever is logged while it is served."""

import re
from contextvars import ContextVar

from aiohttp import web
from multidict import istr

from polls.web.http.random_names import RandomNames

REQUEST_ID = istr("X-Request-ID")

# Random, and not numbers that rise: those would tell visitors how many come.
_IDS = RandomNames(16)
_SANE = re.compile("[A-Za-z0-9_-]{1,64}")

_served: ContextVar[str] = ContextVar("the id of the request that is served", default="")


def request_id() -> str:
    """The id of the request that is being served here; empty where none is."""
    return _served.get()


class RequestIds:
    """Gives each request its id: the one that a trusted proxy has given it, else a new one."""

    def __init__(self, *, is_proxied: bool) -> None:
        self._is_proxied = is_proxied

    def give(self, request: web.Request) -> str:
        """Give `request` its id, and return it."""
        given = self._given(request) if self._is_proxied else None
        of_request = given or _IDS.new()
        _served.set(of_request)
        return of_request

    def _given(self, request: web.Request) -> str | None:
        given = request.headers.get(REQUEST_ID)
        return given if given and _SANE.fullmatch(given) else None


REQUEST_IDS = web.AppKey("request_ids", RequestIds)
