"""Base views of pages that are never cached: for all visitors, for signed-in accounts, for editors of a poll."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus

from aiohttp import hdrs, web
from multidict import MultiMapping
from yarl import URL

from polls.domain.account import Account
from polls.domain.errors import PollNotFound, SignInFailed, TooManyAttempts
from polls.domain.permissions import Person
from polls.domain.poll import Poll
from polls.storage import accounts, questions
from polls.storage.postgres.pool import Database
from polls.web.http.cookies import CookieSetter
from polls.web.http.forms import MAX_BODY, read_form, text_field
from polls.web.http.parameters import local_path
from polls.web.keys import DATABASE
from polls.web.pages.base import NumberedPollView, View
from polls.web.pages.error_responses import wants_json
from polls.web.pages.flash import Flash, delete_flash, read_flash, set_flash
from polls.web.pages.languages import Language
from polls.web.pages.problems import Problem, describe_error
from polls.web.pages.rendering import language_of, render
from polls.web.pages.session import ACCOUNT, set_session_cookie, sign_in, signed_in_account

_UNAUTHORIZED = {"WWW-Authenticate": 'Cookie realm="polls"'}

# Of the sign-in form in the middle of another one. Passwords aren't written into pages.
_PREFIX = "sign_in."
_NOT_KEPT = {f"{_PREFIX}username", f"{_PREFIX}password", "current", "password", "again"}


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

    async def show_sign_in(  # noqa: PLR0913 - the page shows that much
        self,
        form_url: str,
        kept: Iterable[tuple[str, str]],
        username: str = "",
        problem: Problem | None = None,
        *,
        status: int,
        errors: Mapping[str, str] | None = None,
        prefix: str = "",
    ) -> web.Response:
        """Show the sign-in form, which is sent to `form_url` with the fields `kept`.

        `errors` are messages by field. `prefix` begins the names of its own fields, if it asks in the middle of another
        form.
        """
        response = self.show(
            "admin/sign_in.html",
            status=status,
            form_url=form_url,
            kept=kept,
            prefix=prefix,
            problem=problem,
            errors={prefix + name: message for name, message in (errors or {}).items()},
            username=username,
            has_accounts=await accounts.any_exist(self.database),
            here=self.url("sign_in"),
        )
        if problem and problem.retry_after is not None:
            response.headers["Retry-After"] = str(problem.retry_after)
        return response

    def redirect(self, url: str) -> web.Response:
        """Redirect with 303 to a page of ours."""
        return web.Response(status=303, headers={"Location": url})


class PersonalView(PrivateView):
    """A page for a person with permissions. Its forms lead back to the page that they came from, by default `home`.

    A message says once what the previous request did.
    """

    @property
    def person(self) -> Person:
        """The person whose permissions decide."""
        raise NotImplementedError

    @property
    def home(self) -> str:
        """The path of the first of these pages."""
        raise NotImplementedError

    @property
    def flash_path(self) -> str:
        """The path below which a message can be shown."""
        return self.home

    def show(self, template: str, /, *, status: int = 200, **context: object) -> web.Response:
        flash = read_flash(self.request)
        response = super().show(template, status=status, **{"flash": flash, **context})
        if flash is not None:
            delete_flash(self.request, response, path=self.flash_path)
        return response

    def redirect(self, url: str, flash: Flash | None = None) -> web.Response:
        """Redirect with 303 to a page of ours, which shows `flash`."""
        response = super().redirect(url)
        if flash is not None:
            set_flash(CookieSetter(self.request, response), flash, path=self.flash_path)
        return response

    def back_url(self, back: str) -> str:
        """Return `back`, the page that a form came from and leads back to, or `home` if it isn't one of ours."""
        return local_path(back, self.home)

    def with_back(self, url: str, back: str, **parameters: str) -> str:
        """Return the URL of a form that leads back to `back`, with other `parameters`."""
        query = parameters if back == self.home else {**parameters, "back": back}
        return str(URL(url).with_query(query)) if query else url


def missing_credentials(username: str, password: str, language: Language) -> dict[str, str]:
    """Return the error messages for those fields of the sign-in form that are empty."""
    _ = language.gettext
    errors = {} if username else {"username": _("Enter your user name.")}
    return errors if password else {**errors, "password": _("Enter your password.")}


class SignedInView(PersonalView):
    """A page that needs a session, the one of `account`. Raises 401 before any method is called.

    A form that is sent after the session has ended isn't lost: the page asks to sign in again, with its fields kept.
    """

    account: Account
    max_form_size = MAX_BODY  # bytes

    async def respond(self) -> web.StreamResponse:
        account = await signed_in_account(self.request)
        if account is None and self.request.method == hdrs.METH_POST and not wants_json(self.request):
            response = await self._sign_in_again()
            response.headers["Cache-Control"] = "no-store"
            return response
        if account is None:
            raise web.HTTPUnauthorized(headers=_UNAUTHORIZED)
        self.account = self.request[ACCOUNT] = account
        return await super().respond()

    async def resume(self, form: MultiMapping[str]) -> web.StreamResponse:
        """Show the page with the fields of `form`, which was sent after the session had ended, and save nothing."""
        url = self.request.path if hasattr(self, "get") else self.home
        return self.redirect(self.with_back(url, self.back_url(form.get("back", ""))))

    async def _sign_in_again(self) -> web.StreamResponse:
        form = await read_form(self.request, max_size=self.max_form_size)
        kept = [(name, value) for name, value in form.items() if name not in _NOT_KEPT]
        username, password = text_field(form, f"{_PREFIX}username"), form.get(f"{_PREFIX}password", "")
        is_sent, status = f"{_PREFIX}username" in form, HTTPStatus.UNAUTHORIZED.value
        problem, errors = None, missing_credentials(username, password, self.language) if is_sent else {}
        if is_sent and not errors:
            try:
                self.account, token = await sign_in(self.request, username, password)
            except (SignInFailed, TooManyAttempts) as error:
                problem = describe_error(error, self.language)
                errors, status = {"password": problem.detail}, problem.status
            else:
                response = await self.resume(form)
                set_session_cookie(self.request, response, token)
                return response
        page = await self.show_sign_in(
            self.request.path, kept, username, problem, status=status, errors=errors, prefix=_PREFIX
        )
        page.headers.update(_UNAUTHORIZED if status == HTTPStatus.UNAUTHORIZED else {})
        return page

    @property
    def person(self) -> Person:
        return self.account.person

    @property
    def home(self) -> str:
        return self.url("admin")

    def show(self, template: str, /, *, status: int = 200, **context: object) -> web.Response:
        account = getattr(self, "account", None)  # none to sign in again
        return super().show(template, status=status, **{"account": account, **context})


class EditablePollView(SignedInView, NumberedPollView):
    """A page about the poll in its URL, for those who may edit it."""

    async def find_poll(self) -> Poll:
        """Return the poll from the database. Raises PollNotFound if there is none or the person may not edit it."""
        poll = await questions.find(self.database, self.question_id)
        if poll is None or not self.person.may_edit(poll):
            raise PollNotFound(self.question_id)
        return poll
