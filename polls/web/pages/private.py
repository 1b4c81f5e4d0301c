"""Base views of pages that are never cached: for all visitors, for signed-in accounts, for editors of a poll."""

from typing import NamedTuple

from aiohttp import web
from yarl import URL

from polls.domain.account import Account
from polls.domain.errors import PollNotFound
from polls.domain.permissions import Person
from polls.domain.poll import Poll
from polls.storage import questions
from polls.storage.postgres.pool import Database
from polls.web.http.cookies import cookie_pattern, delete_cookie, read_cookie, set_cookie
from polls.web.http.parameters import local_path
from polls.web.keys import DATABASE
from polls.web.pages.base import BasePollView, View
from polls.web.pages.languages import Language
from polls.web.pages.rendering import language_of, render
from polls.web.pages.session import signed_in_account

_FLASH_COOKIE = "flash"
_FLASH_SECONDS = 60
_FLASH = cookie_pattern(_FLASH_COOKIE, r"[a-z-]{1,30}\.[0-9]{1,10}")


class Flash(NamedTuple):
    """A message that says what a POST did, shown once on the page it redirects to; a cookie carries it.

    `number` is how many polls it is about, or the id of one, depending on its `kind`.
    """

    kind: str
    number: int = 0


class PrivateView(View):
    """A page sent with `Cache-Control: no-store`."""

    @property
    def language(self) -> Language:
        """The visitor's language."""
        return language_of(self.request)

    @property
    def database(self) -> Database:
        """The connection pool."""
        return self.request.app[DATABASE]

    async def respond(self) -> web.StreamResponse:
        response = await super().respond()
        response.headers["Cache-Control"] = "no-store"
        return response

    def show(self, template: str, /, *, status: int = 200, **context: object) -> web.Response:
        """Render `template`."""
        return render(self.request, template, status=status, **{"account": None, "flash": None, **context})

    def redirect(self, url: str, flash: Flash | None = None) -> web.Response:
        """Redirect with 303 to a page of ours, which shows `flash`."""
        response = web.Response(status=303, headers={"Location": url})
        if flash is not None:
            value = f"{flash.kind}.{flash.number}"
            set_cookie(self.request, response, _FLASH_COOKIE, value, path=self.url("admin"), seconds=_FLASH_SECONDS)
        return response


class SignedInView(PrivateView):
    """A page that needs a session, the one of `account`. Raises 401 before any method is called."""

    account: Account

    async def respond(self) -> web.StreamResponse:
        account = await signed_in_account(self.request)
        if account is None:
            raise web.HTTPUnauthorized(headers={"WWW-Authenticate": 'Cookie realm="polls"'})
        self.account = account
        return await super().respond()

    @property
    def person(self) -> Person:
        """The signed-in person, whose permissions decide."""
        return self.account.person

    def show(self, template: str, /, *, status: int = 200, **context: object) -> web.Response:
        value = read_cookie(self.request, _FLASH)
        if value is None:
            return super().show(template, status=status, **{"account": self.account, **context})
        kind, _, number = value.partition(".")
        flash = Flash(kind, int(number))
        response = super().show(template, status=status, **{"account": self.account, "flash": flash, **context})
        delete_cookie(self.request, response, _FLASH_COOKIE, path=self.url("admin"))
        return response

    def back_url(self, back: str) -> str:
        """Return `back`, the page that a form came from and leads back to, or the list if it isn't one of ours."""
        return local_path(back, self.url("admin"))

    def with_back(self, url: str, back: str, **parameters: str) -> str:
        """Return the URL of a form that leads back to `back`, with other `parameters`."""
        query = parameters if back == self.url("admin") else {**parameters, "back": back}
        return str(URL(url).with_query(query)) if query else url


class EditablePollView(SignedInView, BasePollView):
    """A page about the poll in its URL, for those who may edit it."""

    async def find_poll(self) -> Poll:
        """Return the poll from the database. Raises PollNotFound if there is none or the person may not edit it."""
        poll = await questions.find(self.database, self.question_id)
        if poll is None or not self.person.may_edit(poll):
            raise PollNotFound(self.question_id)
        return poll
