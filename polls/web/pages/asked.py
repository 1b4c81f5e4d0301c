"""The cookie with the polls that this browser has asked, which are in no list."""

from aiohttp import web

from polls.domain.addresses import WORD
from polls.web.http.cookies import CookieSetter, cookie_pattern, port_suffix, read_cookie

_COOKIE = "polls_asked"
_MAX_ASKED = 20  # polls in the cookie
_ASKED = cookie_pattern(_COOKIE, rf"{WORD}(?:\.{WORD}){{0,{_MAX_ASKED - 1}}}")


def asked_slugs(request: web.Request) -> tuple[str, ...]:
    """Return the slugs of the polls in the cookie, the latest first."""
    slugs = read_cookie(request, _ASKED, port_suffix(request))
    return tuple(slugs.split(".")) if slugs else ()


def add_to_asked_cookie(request: web.Request, response: web.StreamResponse, slug: str, *, path: str) -> None:
    """Add a poll to the cookie, for the page at `path`; the ones of longest ago are forgotten."""
    others = (other for other in asked_slugs(request) if other != slug)
    value = ".".join([slug, *others][:_MAX_ASKED])
    cookies = CookieSetter(request, response)
    cookies.set(_COOKIE + cookies.suffix, value, path=path)
