"""Setting, reading and deleting cookies."""

import re

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


def cookie_pattern(name: str, value: str) -> re.Pattern[str]:
    """Compile a pattern for `read_cookie` that finds the cookie `name` if its whole value matches the regex `value`."""
    return re.compile(rf"(?:^|;)[ \t]*{name}(_[0-9]+)?=({value})[ \t]*(?=;|$)")


def read_cookie(request: web.Request, cookie: re.Pattern[str], suffix: str = "") -> str | None:
    """Return the value of a cookie, or None if it is missing or malformed. `suffix` is the end of its name.

    aiohttp's own way parses and copies all cookies, and takes ten times as long.
    """
    headers = request.headers.getall(hdrs.COOKIE, None)
    if headers is None:
        return None
    for found in cookie.finditer(";".join(headers)):
        if (found[1] or "") == suffix:
            return found[2]
    return None
