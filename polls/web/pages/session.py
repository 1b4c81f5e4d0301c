"""The session cookie, and the account that is signed in with it."""

from aiohttp import web

from polls.domain.account import Account
from polls.domain.permissions import Person
from polls.storage import sessions
from polls.web.http.cookies import CookieSetter, cookie_pattern, read_cookie
from polls.web.http.forwarded import client_network
from polls.web.keys import DATABASE, PASSWORDS, SESSION_CACHE

SESSION_COOKIE = "polls_session"
ACCOUNT = web.RequestKey("account", Account)  # the one that is signed in, as far as the request has looked it up

_TOKEN = cookie_pattern(SESSION_COOKIE, "[0-9A-Za-z_-]{43}", of_site=True)


def session_token(request: web.Request) -> str | None:
    """Return the token in the session cookie, which may be expired or made up, or None."""
    return read_cookie(request, _TOKEN)


async def signed_in_account(request: web.Request) -> Account | None:
    """Return the account that is signed in, or None. Queries the database only if the request has the cookie."""
    token = session_token(request)
    return await sessions.find(request.app[DATABASE], token) if token else None


async def person_for_links(request: web.Request) -> Person | None:
    """Return the person who is signed in, as of a few seconds ago: it decides which links a public page shows.

    Queries the database at most once in a while, however many requests have the cookie.
    """
    token = session_token(request)
    account = await request.app[SESSION_CACHE].find(token) if token else None
    return account.person if account else None


async def sign_in(request: web.Request, username: str, password: str) -> tuple[Account, str]:
    """Begin a session, and return its account and its token. Raises SignInFailed, TooManyAttempts."""
    database, passwords = request.app[DATABASE], request.app[PASSWORDS]
    credentials = await sessions.authenticate(
        database, passwords, username, password, client_network=client_network(request)
    )
    return credentials.account, await sessions.begin(database, credentials, replaces=session_token(request))


def set_session_cookie(request: web.Request, response: web.StreamResponse, token: str) -> None:
    """Set the session cookie, for as long as a session can last."""
    seconds = round(sessions.MAX_AGE.total_seconds())
    cookies = CookieSetter(request, response)
    cookies.set(SESSION_COOKIE + cookies.suffix, token, seconds=seconds)
