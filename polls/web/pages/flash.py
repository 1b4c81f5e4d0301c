"""Messages that say what a POST did, shown once on the page it redirects to; a cookie carries them."""

from typing import NamedTuple

from aiohttp import web

from polls.domain.slugs import CUSTOM_SLUG
from polls.web.http.cookies import CookieSetter, cookie_pattern, read_cookie

_COOKIE = "polls_flash"
_SECONDS = 60
_FLASH = cookie_pattern(_COOKIE, rf"[a-z-]{{1,30}}(?:\.[0-9]{{1,18}}){{1,2}}(?:\.{CUSTOM_SLUG})?", of_site=True)


class Flash(NamedTuple):
    """A message: its `kind`, and how many polls it is about, the id of one, or its revision, depending on the kind.

    `others` is how many selected polls an action had nothing to do for, `custom_slug` that of the poll, empty if none.
    """

    kind: str
    number: int = 0
    others: int = 0
    custom_slug: str = ""

    @property
    def slug(self) -> str:
        """Return the slug of the poll whose id is `number`."""
        return self.custom_slug or str(self.number)


def set_flash(cookies: CookieSetter, flash: Flash, *, path: str) -> None:
    """Set the cookie with `flash` for the pages below `path`, for a minute."""
    value = f"{flash.kind}.{flash.number}"
    for part in (flash.others, flash.custom_slug):
        if part:
            value += f".{part}"
    cookies.set(_COOKIE + cookies.suffix, value, path=path, seconds=_SECONDS)


def read_flash(request: web.Request) -> Flash | None:
    """Return the message in the cookie, whose kind may be made up, or None."""
    value = read_cookie(request, _FLASH)
    if value is None:
        return None
    kind, *parts = value.split(".")
    custom_slug = "" if parts[-1].isdecimal() else parts.pop()
    number, others = (*map(int, parts), 0)[:2]
    return Flash(kind, number, others, custom_slug)


def read_vote_flash(request: web.Request) -> Flash | None:
    """Return the message that a vote was counted or changed, or None."""
    flash = read_flash(request)
    return flash if flash and flash.kind in {"counted", "changed"} else None


def delete_flash(request: web.Request, response: web.StreamResponse, *, path: str) -> None:
    """Delete the cookie that was set for `path`; the response that shows the message does this."""
    cookies = CookieSetter(request, response)
    cookies.delete(_COOKIE + cookies.suffix, path=path)
