"""Setting, reading and deleting cookies."""

import re
from typing import NamedTuple

from aiohttp import hdrs, web

from polls.web.http.forwarded import is_https
from polls.web.keys import CONFIG

_MAX_PORT_DIGITS = 5
_YEAR = 365 * 24 * 60 * 60  # seconds


class CookieSetter:
    """Sets cookies in one response; a vote sets four of them, and what they have in common is worked out once.

    Cookies are HttpOnly, SameSite=Lax, and Secure if clients use https. `suffix` is the end of the names of those that
    belong to one site: see `port_suffix`.
    """

    __slots__ = ("_attributes", "_headers", "_request", "suffix")

    def __init__(self, request: web.Request, response: web.StreamResponse) -> None:
        self._request = request
        self._headers = response.headers
        self._attributes = "; SameSite=Lax; Secure" if is_https(request) else "; SameSite=Lax"
        self.suffix = port_suffix(request)

    def set(self, name: str, value: str, *, path: str = "", seconds: int = _YEAR) -> None:
        """Set a cookie for `path`, by default all pages of polls.

        `value` may contain letters, digits, and . - _ only: it isn't quoted. aiohttp's own method takes six times as
        long.
        """
        path = path or self._request.app.router["index"].canonical
        cookie = f"{name}={value}; HttpOnly; Max-Age={seconds}; Path={path}{self._attributes}"
        self._headers.add(hdrs.SET_COOKIE, cookie)

    def delete(self, name: str, *, path: str = "") -> None:
        """Delete a cookie that was set for `path`."""
        self.set(name, "", path=path, seconds=0)


def port_suffix(request: web.Request) -> str:
    """Return the end of the names of cookies that belong to one site: "_8080", or nothing for the default port.

    Browsers send the cookies of a host to all its ports, where another polls may listen. The port is that of the public
    URL, so that it is the same for all processes behind a proxy.
    """
    port = (request.app[CONFIG].site.url or request.headers.get(hdrs.HOST) or "").rpartition(":")[2]
    return f"_{port}" if port.isascii() and port.isdigit() and len(port) <= _MAX_PORT_DIGITS else ""


class CookiePattern(NamedTuple):
    """A cookie's name, without the port in it, and the pattern that finds it and its value in the header.

    Its name ends with `port_suffix` if it is `of_site`.
    """

    name: str
    header: re.Pattern[str]
    of_site: bool


def cookie_pattern(name: str, value: str, *, of_site: bool = False) -> CookiePattern:
    """Compile a pattern for `read_cookie` that finds the cookie `name` if its whole value matches the regex `value`."""
    port = "(_[0-9]+)" if of_site else "()"
    return CookiePattern(name, re.compile(rf"(?:^|;)[ \t]*{name}{port}?=({value})[ \t]*(?=;|$)"), of_site)


def read_cookie(request: web.Request, cookie: CookiePattern) -> str | None:
    """Return the value of a cookie, or None if it is missing or malformed.

    aiohttp's own way parses and copies all cookies, and takes ten times as long.
    """
    lines = request.headers.getall(hdrs.COOKIE, None)
    if lines is None:
        return None
    header = ";".join(lines)
    if cookie.name not in header:  # the usual case, which needs no search with the pattern
        return None
    suffix = port_suffix(request) if cookie.of_site else ""
    for found in cookie.header.finditer(header):
        if (found[1] or "") == suffix:
            return found[2]
    return None
