"""The signed-in account: changing its password, its history."""

from collections.abc import Mapping

from aiohttp import web

from polls.domain.errors import SignInFailed, TooManyAttempts
from polls.storage import accounts, history, sessions
from polls.storage.accounts import VerifiedCredentials
from polls.storage.history import account_subject
from polls.web.admin.account_errors import new_password_errors
from polls.web.http.forms import read_form
from polls.web.http.forwarded import client_network
from polls.web.keys import PASSWORDS
from polls.web.pages.flash import Flash
from polls.web.pages.private import SignedInView
from polls.web.pages.problems import describe_error
from polls.web.pages.session import session_token

_HISTORY_SIZE = 50  # entries


class AccountView(SignedInView):
    """The account's history and a form that changes its password."""

    async def get(self) -> web.StreamResponse:
        return await self._show_account()

    async def post(self) -> web.StreamResponse:
        form = await read_form(self.request)
        errors = await new_password_errors(form, self.account.username, self.language)
        try:
            credentials = await sessions.authenticate(
                self.database,
                self.request.app[PASSWORDS],
                self.account.username,
                form.get("current", ""),
                client_network=client_network(self.request),
            )
            if not errors:
                await self._set_password(credentials, form["password"])
        except SignInFailed:
            errors["current"] = self.language.gettext("Wrong password.")
        except TooManyAttempts as error:
            errors["current"] = describe_error(error, self.language).detail
        if errors:
            return await self._show_account(status=400, errors=errors)
        return self.redirect(self.url("admin_account"), Flash("password-changed"))

    async def _set_password(self, credentials: VerifiedCredentials, password: str) -> None:
        """Set the password, and end all other sessions. Raises SignInFailed if it was changed meanwhile."""
        password_hash = await self.request.app[PASSWORDS].hash(password, self.account.username)
        token = session_token(self.request)
        this_session = sessions.hash_token(token) if token else None
        await accounts.change_own_password(self.database, credentials, password_hash, keep_session=this_session)

    async def _show_account(self, *, status: int = 200, errors: Mapping[str, str] | None = None) -> web.Response:
        entries = await history.latest(self.database, subject=account_subject(self.account), limit=_HISTORY_SIZE)
        return self.show(
            "admin/account.html", status=status, errors=errors or {}, entries=entries, here=self.url("admin_account")
        )
