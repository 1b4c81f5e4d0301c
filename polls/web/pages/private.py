"""What the admin's views have in common: whoever comes has signed in, and nobody keeps what they see."""

from aiohttp import web

from polls.domain.account import Account
from polls.domain.errors import PollNotFound
from polls.domain.permissions import Person
from polls.domain.poll import Poll
from polls.storage import questions
from polls.web.http.cookies import cookie_pattern, delete_cookie, read_cookie, set_cookie
from polls.web.http.errors import NotSignedIn
from polls.web.keys import DATABASE
from polls.web.pages.base import AboutPoll, Method, View
from polls.web.pages.languages import Language
from polls.web.pages.rendering import language_of, render
from polls.web.pages.session import account_of

FLASH_COOKIE = "flash"  # what was done, and to which poll or how many: for the next page to say

_FLASH = cookie_pattern(FLASH_COOKIE, r"[a-z-]{1,30}\.[0-9]{1,9}")
_SOON = 60  # seconds


class PrivateView(View):
    """A page that nobody but its visitor may keep."""

    @property
    def language(self) -> Language:
        """The language that the visitor reads."""
        return language_of(self.request)

    async def answer(self, method: Method) -> web.StreamResponse:
        response = await method(self)
        response.headers["Cache-Control"] = "no-store"
        return response

    def show(self, template: str, /, *, status: int = 200, **context: object) -> web.Response:
        """A page made for this answer alone."""
        return render(self.request, template, status=status, **{"account": None, "flash": None, **context})

    def go(self, address: str, *, flash: str | None = None, about: int = 0) -> web.Response:
        """Send the browser to another page of ours, which says what was done: a `flash`, `about` so many, or which."""
        response = web.Response(status=303, headers={"Location": address})
        if flash is not None:
            path = self.url("admin")
            set_cookie(self.request, response, FLASH_COOKIE, f"{flash}.{about}", path=path, seconds=_SOON)
        return response


class AdminView(PrivateView):
    """A page for those who have signed in; everybody else is sent to the sign-in, and nothing happens."""

    account: Account

    @property
    def person(self) -> Person:
        """Who asks."""
        return self.account.person

    async def answer(self, method: Method) -> web.StreamResponse:
        account = await account_of(self.request)
        if account is None:
            raise NotSignedIn
        self.account = account
        return await super().answer(method)

    def show(self, template: str, /, *, status: int = 200, **context: object) -> web.Response:
        said = read_cookie(self.request, _FLASH)
        kind, _, about = (said or "").partition(".")
        flash = {"kind": kind, "about": int(about)} if said else None
        response = super().show(template, status=status, **{"account": self.account, "flash": flash, **context})
        if said:
            delete_cookie(self.request, response, FLASH_COOKIE, path=self.url("admin"))
        return response


class AdminPollView(AdminView, AboutPoll):
    """A page about the poll that its address names, for those who may edit it."""

    async def find(self) -> Poll:
        """The poll as the database has it now. Raises PollNotFound where there is none, or none of theirs."""
        poll = await questions.find(self.request.app[DATABASE], self.question_id)
        if poll is None or not self.person.may_edit(poll):
            raise PollNotFound(self.question_id)
        return poll
