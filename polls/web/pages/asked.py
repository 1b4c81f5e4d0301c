"""The cookies with the polls that this browser has asked, or opened with their access link; they are in no list."""

import re
import time

from aiohttp import hdrs, web

from polls.domain.slugs import CUSTOM_SLUG
from polls.web.http.cookies import CookieSetter, port_suffix

_COOKIE = "polls_asked-"  # and the poll's slug: browsers send them to one page only, but other pages set them, too
_ASKED = re.compile(rf"(?:^|;)[ \t]*{_COOKIE}({CUSTOM_SLUG})(_[0-9]+)?=([0-9]{{1,15}})[ \t]*(?=;|$)")
_CUSTOM_SLUG = re.compile(CUSTOM_SLUG)
_MAX_ASKED = 20


def asked_slugs(request: web.Request) -> tuple[str, ...]:
    """Return the slugs of the polls in the cookies, the latest first, at most 20."""
    return tuple(_sent_slugs(request)[:_MAX_ASKED])


def add_to_asked(request: web.Request, response: web.StreamResponse, slug: str) -> None:
    """Set the cookie of a poll, as the latest one. A poll at its number has none: it is in the public list."""
    if _CUSTOM_SLUG.fullmatch(slug):
        cookies, milliseconds = CookieSetter(request, response), time.time_ns() // 1_000_000
        cookies.set(f"{_COOKIE}{slug}{cookies.suffix}", str(milliseconds), path=_path(request))


def remove_from_asked(request: web.Request, response: web.StreamResponse, slug: str) -> None:
    """Delete the cookie of a poll."""
    cookies = CookieSetter(request, response)
    cookies.delete(f"{_COOKIE}{slug}{cookies.suffix}", path=_path(request))


def delete_oldest_asked(request: web.Request, response: web.StreamResponse) -> None:
    """Delete the cookies beyond the latest 20: those who open access links can't know how many there are."""
    for slug in _sent_slugs(request)[_MAX_ASKED:]:
        remove_from_asked(request, response, slug)


def _sent_slugs(request: web.Request) -> list[str]:
    """Return the slugs of the polls in the cookies, the latest first."""
    suffix, sent = port_suffix(request), ";".join(request.headers.getall(hdrs.COOKIE, ()))
    times = {found[1]: int(found[3]) for found in _ASKED.finditer(sent) if (found[2] or "") == suffix}
    return sorted(times, key=lambda slug: times[slug], reverse=True)


def _path(request: web.Request) -> str:
    return request.app.router["ask"].canonical
