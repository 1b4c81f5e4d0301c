"""The cookie with the access key of a poll, for the pages of that poll only."""

from aiohttp import web

from polls.domain.access_keys import PATTERN
from polls.domain.permissions import Person, owner
from polls.domain.poll import Poll
from polls.web.http.cookies import CookieSetter, cookie_pattern, read_cookie

OWNER_COOKIE = "polls_owner"

_KEY = cookie_pattern(OWNER_COOKIE, PATTERN, of_site=True)


def set_owner_cookie(request: web.Request, response: web.StreamResponse, slug: str, key: str) -> None:
    """Set the cookie with the access key of the poll `slug`."""
    cookies = CookieSetter(request, response)
    cookies.set(OWNER_COOKIE + cookies.suffix, key, path=_path(request, slug))


def delete_owner_cookie(request: web.Request, response: web.StreamResponse, slug: str) -> None:
    """Delete the cookie of the poll `slug`."""
    cookies = CookieSetter(request, response)
    cookies.delete(OWNER_COOKIE + cookies.suffix, path=_path(request, slug))


def read_owner_key(request: web.Request) -> str | None:
    """Return the access key in the cookie, which may be outdated or made up, or None."""
    return read_cookie(request, _KEY)


def owner_of(request: web.Request, poll: Poll) -> Person | None:
    """Return the owner of `poll` if the request has its access key, else None."""
    # Polls of admins have no owner, so their voters' cookies needn't be searched.
    key = read_owner_key(request) if poll.owner_hash else None
    person = owner(key) if key else None
    return person if person and person.owns(poll) else None


def _path(request: web.Request, slug: str) -> str:
    return request.app.router["poll"].canonical.format(slug=slug)
