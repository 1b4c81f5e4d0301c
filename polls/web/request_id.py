"""Requests by name: an id for each, in its answer, on its error page, and in whatever is logged while it is served."""

import os
import re
from collections.abc import Iterator
from contextvars import ContextVar

from aiohttp import web
from multidict import istr

REQUEST_ID = istr("X-Request-ID")

_AT_ONCE = 512  # ids that are made of the system's randomness at a time
_DIGITS = 16  # of an id: 64 random bits
_SANE = re.compile("[A-Za-z0-9_-]{1,64}")

_served: ContextVar[str] = ContextVar("the id of the request that is served", default="")


def request_id() -> str:
    """The id of the request that is being served here; empty where none is."""
    return _served.get()


class RequestIds:
    """Gives each request its id: the one that a trusted proxy has given it, else a new one.

    A new one is random, and not a number that rises: that would tell visitors how many come.
    """

    def __init__(self, *, proxied: bool) -> None:
        self._is_proxied = proxied
        self._new = _random()

    def give(self, request: web.Request) -> str:
        """Give `request` its id, and return it."""
        given = self._given(request) if self._is_proxied else None
        of_request = given or next(self._new)
        _served.set(of_request)
        return of_request

    def _given(self, request: web.Request) -> str | None:
        given = request.headers.get(REQUEST_ID)
        return given if given and _SANE.fullmatch(given) else None


def _random() -> Iterator[str]:
    while True:
        digits = os.urandom(_AT_ONCE * _DIGITS // 2).hex()
        for begin in range(0, len(digits), _DIGITS):
            yield digits[begin : begin + _DIGITS]
