"""Who has signed in: the cookie of a session, and whose it is."""

from aiohttp import web

from polls.domain.account import Account
from polls.domain.permissions import Person
from polls.storage import sessions
from polls.web.http.cookies import cookie_path, cookie_pattern, delete_cookie, read_cookie, set_cookie
from polls.web.keys import DATABASE

SESSION_COOKIE = "session"

_TOKEN = cookie_pattern(SESSION_COOKIE, "[0-9A-Za-z_-]{43}")


def token_of(request: web.Request) -> str | None:
    """The token that a browser brings; whether it is worth anything, the database knows."""
    return read_cookie(request, _TOKEN)


async def account_of(request: web.Request) -> Account | None:
    """The account that this browser is signed in with. Without the cookie, nobody is asked."""
    token = token_of(request)
    return await sessions.find(request.app[DATABASE], token) if token else None


async def person_of(request: web.Request) -> Person | None:
    """Who this browser's owner has shown to be."""
    account = await account_of(request)
    return account.person if account else None


def set_session_cookie(request: web.Request, response: web.StreamResponse, token: str) -> None:
    """Let the browser come back with its session."""
    seconds = round(sessions.LONGEST.total_seconds())
    set_cookie(request, response, SESSION_COOKIE, token, path=cookie_path(request), seconds=seconds)


def delete_session_cookie(request: web.Request, response: web.StreamResponse) -> None:
    """Take the cookie back, whose session has ended."""
    delete_cookie(request, response, SESSION_COOKIE, path=cookie_path(request))
