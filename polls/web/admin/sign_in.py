"""Signing in, and out."""

from aiohttp import web

from polls.domain.errors import SignInFailed, TooManyAttempts
from polls.storage import accounts, sessions
from polls.web.http.forms import line, read_form
from polls.web.http.forwarded import network_of
from polls.web.http.redirects import own_address
from polls.web.keys import ENGINE, PASSWORDS
from polls.web.pages.private import AdminView, PrivateView
from polls.web.pages.problems import Problem, wants_json, wording
from polls.web.pages.session import account_of, forget_session, remember_session, token_of


class SignInView(PrivateView):
    """The sign-in. Whatever is wrong with a name and a password, it says the same."""

    async def get(self) -> web.StreamResponse:
        go_on = own_address(self.request.query.get("next"), self.url("admin"))
        if await account_of(self.request):
            return self.go(go_on)
        return await self._ask(next=go_on)

    async def post(self) -> web.StreamResponse:
        engine, form = self.request.app[ENGINE], await read_form(self.request)
        go_on = own_address(form.get("next", ""), self.url("admin"))
        username, password = line(form, "username"), form.get("password", "")
        try:
            proof = await sessions.authenticate(
                engine, self.request.app[PASSWORDS], username, password, place=network_of(self.request)
            )
            token = await sessions.begin(engine, proof, before=token_of(self.request))
        except (SignInFailed, TooManyAttempts) as error:
            return await self._refuse(error, next=go_on, username=username)
        response = self.go(go_on)
        remember_session(self.request, response, token)
        return response

    async def _refuse(self, error: SignInFailed | TooManyAttempts, **context: str) -> web.Response:
        if wants_json(self.request):
            raise error
        problem = wording(error, self.language)
        response = await self._ask(status=problem.status, problem=problem, **context)
        if isinstance(error, TooManyAttempts):
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
        if form.get("where", "") == "everywhere":
            await accounts.end_sessions(engine, self.person, self.account.id)
        elif token := token_of(self.request):
            await sessions.end(engine, token)
        response = self.go(self.url("index"))
        forget_session(self.request, response)
        return response
