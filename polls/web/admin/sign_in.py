"""Signing in and out."""

from collections.abc import Mapping

from aiohttp import web
from yarl import URL

from polls.domain.errors import SignInFailed, TooManyAttempts
from polls.storage import accounts, sessions
from polls.web.http.cookies import CookieSetter
from polls.web.http.forms import read_form, text_field
from polls.web.http.parameters import local_path
from polls.web.keys import CONFIG
from polls.web.pages.error_responses import wants_json
from polls.web.pages.private import PrivateView, SignedInView, missing_credentials
from polls.web.pages.problems import CookieNotKept, Problem, describe_error
from polls.web.pages.session import SESSION_COOKIE, session_token, set_session_cookie, sign_in, signed_in_account

_SIGNED_IN = "signed-in"  # parameter of the redirect after signing in


class SignInView(PrivateView):
    """The sign-in form. Every failure gets the same answer, so that it doesn't reveal which user names exist."""

    async def get(self) -> web.StreamResponse:
        next_url = local_path(self.request.query.get("next", ""), self.url("admin"))
        if await signed_in_account(self.request):
            return self.redirect(next_url)
        if _SIGNED_IN not in self.request.query:
            return await self._show_form(next_url)
        error = CookieNotKept(self.request.app[CONFIG].site.url)
        return await self._show_form(next_url, problem=describe_error(error, self.language))

    async def post(self) -> web.StreamResponse:
        form = await read_form(self.request)
        next_url = local_path(form.get("next", ""), self.url("admin"))
        username, password = text_field(form, "username"), form.get("password", "")
        missing = missing_credentials(username, password, self.language)
        if missing and not wants_json(self.request):
            return await self._show_form(next_url, username, errors=missing)
        try:
            _, token = await sign_in(self.request, username, password)
        except (SignInFailed, TooManyAttempts) as error:
            if wants_json(self.request):
                raise
            problem = describe_error(error, self.language)
            return await self._show_form(next_url, username, problem, {"password": problem.detail})
        # By way of the form, which says so if the browser doesn't send the cookie.
        response = self.redirect(str(URL(self.url("sign_in")).with_query({"next": next_url, _SIGNED_IN: "1"})))
        set_session_cookie(self.request, response, token)
        return response

    async def _show_form(
        self,
        next_url: str,
        username: str = "",
        problem: Problem | None = None,
        errors: Mapping[str, str] | None = None,
    ) -> web.Response:
        status = problem.status if problem else 400 if errors else 200
        kept = [("next", next_url)]
        return await self.show_sign_in(self.url("sign_in"), kept, username, problem, status=status, errors=errors)


class SignOutView(SignedInView):
    """Signing out: ends this session, or all sessions of the account."""

    async def post(self) -> web.StreamResponse:
        form = await read_form(self.request)
        if form.get("where", "") == "everywhere":
            await accounts.end_sessions(self.database, self.person, self.account.id)
        elif token := session_token(self.request):
            await sessions.end(self.database, token)
        response = self.redirect(self.url("index"))
        cookies = CookieSetter(self.request, response)
        cookies.delete(SESSION_COOKIE + cookies.suffix)
        return response
