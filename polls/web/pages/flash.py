"""Flash messages: a short-lived cookie that says what a POST did, shown once on the page it redirects to."""

from dataclasses import dataclass

from aiohttp import web

from polls.web.http.cookies import cookie_pattern, delete_cookie, read_cookie, set_cookie

FLASH_COOKIE = "flash"
MAX_AGE = 60  # seconds

_PATTERN = cookie_pattern(FLASH_COOKIE, r"[a-z-]{1,30}\.[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Flash:
    """A message of one `kind`; `number` is how many polls it is about, or the id of one, depending on the kind."""

    kind: str
    number: int = 0


def set_flash(request: web.Request, response: web.StreamResponse, flash: Flash) -> None:
    """Store `flash` for the next page."""
    value = f"{flash.kind}.{flash.number}"
    set_cookie(request, response, FLASH_COOKIE, value, path=_path(request), seconds=MAX_AGE)


def read_flash(request: web.Request) -> Flash | None:
    """Return the flash message that the request carries."""
    value = read_cookie(request, _PATTERN)
    if value is None:
        return None
    kind, _, number = value.partition(".")
    return Flash(kind, int(number))


def delete_flash(request: web.Request, response: web.StreamResponse) -> None:
    """Delete the cookie, so that the message is shown once."""
    delete_cookie(request, response, FLASH_COOKIE, path=_path(request))


def _path(request: web.Request) -> str:
    # Every page that shows a flash message is below this one; public pages don't receive the cookie.
    return request.app.router["admin"].canonical
