"""Signing in, and out."""

from aiohttp import web

from polls.domain.errors import SignInFailed, TooManyFailures
from polls.storage import accounts, sessions
from polls.web.addresses import network_of, own_address
from polls.web.admin.base import AdminView, PrivateView
from polls.web.errors import Problem, as_json, wants_json
from polls.web.forms import field, read_form
from polls.web.keys import ENGINE, PASSWORDS
from polls.web.session import account_of, forget_session, remember_session, token_of


class SignInView(PrivateView):
    """The sign-in. Whatever is wrong with a name and a password, it says the same."""

    async def get(self) -> web.StreamResponse:
        go_on = own_address(self.request.query.get("next"), self.url("admin"))
        if await account_of(self.request):
            return self.go(go_on)
        return await self._ask(next=go_on)

    async def post(self) -> web.StreamResponse:
        engine, form = self.request.app[ENGINE], await read_form(self.request)
        go_on = own_address(field(form, "next"), self.url("admin"))
        username, password = field(form, "username"), field(form, "password")
        try:
            account = await sessions.authenticate(
                engine, self.request.app[PASSWORDS], username, password, place=network_of(self.request)
            )
        except (SignInFailed, TooManyFailures) as error:
            return await self._refuse(error, next=go_on, username=username)
        token = await sessions.begin(engine, account, before=token_of(self.request))
        response = self.go(go_on)
        remember_session(self.request, response, token)
        return response

    async def _refuse(self, error: SignInFailed | TooManyFailures, **context: str) -> web.Response:
        problem = refusal(self, error)
        if wants_json(self.request):
            response = as_json(self.request, problem)
        else:
            response = await self._ask(status=problem.status, problem=problem, **context)
        if isinstance(error, TooManyFailures):
            response.headers["Retry-After"] = str(error.seconds)
        return response

    async def _ask(
        self, *, status: int = 200, problem: Problem | None = None, username: str = "", **context: str
    ) -> web.Response:
        return self.show(
            "admin/login.html",
            status=status,
            problem=problem,
            username=username,
            is_first=not await accounts.exist(self.request.app[ENGINE]),
            here=self.url("sign_in"),
            **context,
        )


class SignOutView(AdminView):
    """The end of a session: of this one, or of all that the account has."""

    async def post(self) -> web.StreamResponse:
        form = await read_form(self.request)
        engine = self.request.app[ENGINE]
        if field(form, "where") == "everywhere":
            await accounts.end_sessions(engine, self.person, self.account.id)
        elif token := token_of(self.request):
            await sessions.end(engine, token)
        response = self.go(self.url("index"))
        forget_session(self.request, response)
        return response


def refusal(view: PrivateView, error: SignInFailed | TooManyFailures) -> Problem:
    """What is said to somebody whose password was not accepted."""
    _ = view.language.gettext
    if isinstance(error, TooManyFailures):
        waiting = view.language.ngettext(
            "Too many failed attempts. Try again in a minute.",
            "Too many failed attempts. Try again in %(minutes)s minutes.",
            minutes := -(-error.seconds // 60),
        )
        return Problem(429, _("Too many attempts"), waiting % {"minutes": view.language.number(minutes)})
    return Problem(400, _("Not signed in"), _("This user name and this password don't belong together."))
