"""One's own account: its password, its history."""

from collections.abc import Mapping

from aiohttp import web

from polls.domain.account import FEWEST_IN_PASSWORD, MOST_IN_PASSWORD
from polls.domain.errors import SignInFailed, TooManyAttempts, UnfitPassword
from polls.storage import accounts, history, sessions
from polls.storage.history import of_account
from polls.web.http.forms import read_form
from polls.web.http.forwarded import client_network
from polls.web.keys import DATABASE, PASSWORDS
from polls.web.pages.languages import Language
from polls.web.pages.private import AdminView
from polls.web.pages.problems import wording
from polls.web.pages.session import token_of

_MOST_TOLD = 50  # entries of history


class AccountView(AdminView):
    """What the account has been used for; and a form to change its password."""

    async def get(self) -> web.StreamResponse:
        return await self._ask()

    async def post(self) -> web.StreamResponse:
        form = await read_form(self.request)
        app, token = self.request.app, token_of(self.request)
        password, faults = form.get("password", ""), {}
        try:
            if password != form.get("again", ""):
                faults["again"] = self.language.gettext("The two passwords differ.")
            else:
                proof = await sessions.authenticate(
                    app[DATABASE],
                    app[PASSWORDS],
                    self.account.username,
                    form.get("current", ""),
                    client_network=client_network(self.request),
                )
                kept = await app[PASSWORDS].hash(password, self.account.username)
                stays = sessions.hashed(token) if token else None
                await accounts.change_own_password(app[DATABASE], proof, kept, stays=stays)
        except SignInFailed:
            faults["current"] = self.language.gettext("This is not your password.")
        except TooManyAttempts as error:
            faults["current"] = wording(error, self.language).detail
        except UnfitPassword as error:
            faults["password"] = fault_of_password(error, self.language)
        if faults:
            return await self._ask(status=400, faults=faults)
        return self.go(self.url("admin_account"), flash="password-changed")

    async def _ask(self, *, status: int = 200, faults: Mapping[str, str] | None = None) -> web.Response:
        entries = await history.latest(self.request.app[DATABASE], subject=of_account(self.account), limit=_MOST_TOLD)
        return self.show(
            "admin/account.html", status=status, faults=faults or {}, entries=entries, here=self.url("admin_account")
        )


def fault_of_password(error: UnfitPassword, language: Language) -> str:
    """What is wrong with a password, in words."""
    _ = language.gettext
    match error.reason:
        case "short":
            return _("At least %(fewest)s characters, please.") % {"fewest": language.number(FEWEST_IN_PASSWORD)}
        case "long":
            return _("At most %(most)s characters, please.") % {"most": language.number(MOST_IN_PASSWORD)}
    return _("This is one of the first passwords that anybody would guess. Take another.")
