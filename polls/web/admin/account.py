"""The signed-in account: changing its password, its history."""

from collections.abc import Mapping

from aiohttp import web

from polls.domain.errors import SignInFailed, TooManyAttempts, UnfitPassword
from polls.storage import accounts, history, sessions
from polls.storage.history import of_account
from polls.web.admin.account_errors import password_error
from polls.web.http.forms import read_form
from polls.web.http.forwarded import client_network
from polls.web.keys import DATABASE, PASSWORDS
from polls.web.pages.flash import Flash
from polls.web.pages.private import SignedInView
from polls.web.pages.problems import wording
from polls.web.pages.session import token_of

_HISTORY_SIZE = 50  # entries


class AccountView(SignedInView):
    """The account's history and a form that changes its password."""

    async def get(self) -> web.StreamResponse:
        return await self._show_account()

    async def post(self) -> web.StreamResponse:
        form = await read_form(self.request)
        errors = {}
        try:
            if form.get("password", "") == form.get("again", ""):
                await self._change_password(form.get("current", ""), form.get("password", ""))
            else:
                errors["again"] = self.language.gettext("The two passwords don't match.")
        except SignInFailed:
            errors["current"] = self.language.gettext("Wrong password.")
        except TooManyAttempts as error:
            errors["current"] = wording(error, self.language).detail
        except UnfitPassword as error:
            errors["password"] = password_error(error, self.language)
        if errors:
            return await self._show_account(status=400, errors=errors)
        return self.redirect(self.url("admin_account"), Flash("password-changed"))

    async def _change_password(self, current: str, new: str) -> None:
        """Change the password and end all other sessions of the account.

        Raises SignInFailed if `current` is wrong, TooManyAttempts, UnfitPassword.
        """
        database, passwords = self.request.app[DATABASE], self.request.app[PASSWORDS]
        credentials = await sessions.authenticate(
            database, passwords, self.account.username, current, client_network=client_network(self.request)
        )
        password_hash = await passwords.hash(new, self.account.username)
        token = token_of(self.request)
        this_session = sessions.hashed(token) if token else None
        await accounts.change_own_password(database, credentials, password_hash, stays=this_session)

    async def _show_account(self, *, status: int = 200, errors: Mapping[str, str] | None = None) -> web.Response:
        entries = await history.latest(
            self.request.app[DATABASE], subject=of_account(self.account), limit=_HISTORY_SIZE
        )
        return self.show(
            "admin/account.html", status=status, errors=errors or {}, entries=entries, here=self.url("admin_account")
        )
