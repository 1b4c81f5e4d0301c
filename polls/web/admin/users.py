"""Those who look after polls: letting in, shutting out; and what everybody may do to their own account."""

from collections.abc import Mapping

from aiohttp import web

from polls.domain.errors import (
    LastAdmin,
    SignInFailed,
    TooManyFailures,
    UnfitPassword,
    UnfitUsername,
    UsernameTaken,
)
from polls.storage import accounts, history, sessions
from polls.storage.history import of_account
from polls.web.addresses import network_of
from polls.web.admin.base import AdminView
from polls.web.admin.sign_in import refusal
from polls.web.forms import field, read_form
from polls.web.keys import ENGINE, PASSWORDS
from polls.web.language import Language
from polls.web.session import token_of

_MOST_TOLD = 50  # entries about one's own account


class UsersView(AdminView):
    """Who may sign in; and a form to let in somebody else."""

    async def get(self) -> web.StreamResponse:
        return await self.ask()

    async def post(self) -> web.StreamResponse:
        self._check()
        form = await read_form(self.request)
        username, password = field(form, "username"), field(form, "password")
        faults = {}
        if password != field(form, "again"):
            faults["again"] = self.language.gettext("The two passwords differ.")
        else:
            try:
                kept = await self.request.app[PASSWORDS].hash(password, username)
                await accounts.add(self.request.app[ENGINE], self.person, username, kept)
            except (UnfitUsername, UsernameTaken) as error:
                faults["username"] = fault_of_username(error, self.language)
            except UnfitPassword as error:
                faults["password"] = fault_of_password(error, self.language)
        if faults:
            return await self.ask(status=400, faults=faults, username=username)
        return self.go(self.url("admin_users"), notice="user-added")

    async def ask(self, *, status: int = 200, **context: object) -> web.Response:
        """Show the list, and the form."""
        self._check()
        users = await accounts.all_of_them(self.request.app[ENGINE])
        return self.show(
            "admin/users.html",
            status=status,
            users=users,
            **{"faults": {}, "username": "", "problem": None, "here": self.url("admin_users"), **context},
        )

    def _check(self) -> None:
        if not self.person.may_appoint:
            raise web.HTTPForbidden


class UserView(UsersView):
    """Somebody else's account: disabled, enabled, signed out."""

    async def get(self) -> web.StreamResponse:
        raise web.HTTPSeeOther(self.url("admin_users"))

    async def post(self) -> web.StreamResponse:
        self._check()
        form = await read_form(self.request)
        engine, account_id = self.request.app[ENGINE], int(self.request.match_info["id"])
        match field(form, "do"):
            case "disable":
                try:
                    await accounts.disable(engine, self.person, account_id)
                except LastAdmin:
                    problem = self.language.gettext(
                        "This is the last one who can sign in. Add or enable another first."
                    )
                    return await self.ask(status=409, problem=problem)
                notice = "user-disabled"
            case "enable":
                await accounts.enable(engine, self.person, account_id)
                notice = "user-enabled"
            case "end":
                await accounts.end_sessions(engine, self.person, account_id)
                notice = "sessions-ended"
            case _:
                raise web.HTTPBadRequest
        return self.go(self.url("admin_users"), notice=notice)


class AccountView(AdminView):
    """One's own account: its password, its history."""

    async def get(self) -> web.StreamResponse:
        return await self._ask()

    async def post(self) -> web.StreamResponse:
        form = await read_form(self.request)
        app, token = self.request.app, token_of(self.request)
        password, faults = field(form, "password"), {}
        try:
            if password != field(form, "again"):
                faults["again"] = self.language.gettext("The two passwords differ.")
            else:
                await sessions.authenticate(
                    app[ENGINE],
                    app[PASSWORDS],
                    self.account.username,
                    field(form, "current"),
                    place=network_of(self.request),
                )
                kept = await app[PASSWORDS].hash(password, self.account.username)
                await accounts.set_password(
                    app[ENGINE],
                    self.person,
                    self.account.username,
                    kept,
                    stays=sessions.hashed(token) if token else None,
                )
        except SignInFailed:
            faults["current"] = self.language.gettext("This is not your password.")
        except TooManyFailures as error:
            faults["current"] = refusal(self, error).detail
        except UnfitPassword as error:
            faults["password"] = fault_of_password(error, self.language)
        if faults:
            return await self._ask(status=400, faults=faults)
        return self.go(self.url("admin_account"), notice="password-changed")

    async def _ask(self, *, status: int = 200, faults: Mapping[str, str] | None = None) -> web.Response:
        entries = await history.latest(self.request.app[ENGINE], subject=of_account(self.account), limit=_MOST_TOLD)
        return self.show(
            "admin/account.html", status=status, faults=faults or {}, entries=entries, here=self.url("admin_account")
        )


def fault_of_username(error: UnfitUsername | UsernameTaken, language: Language) -> str:
    """What is wrong with a user name, in words."""
    _ = language.gettext
    if isinstance(error, UsernameTaken):
        return _("Somebody is called so already.")
    return _("Letters, digits, and . - _ @ + make a user name; at most 150 of them.")


def fault_of_password(error: UnfitPassword, language: Language) -> str:
    """What is wrong with a password, in words."""
    _ = language.gettext
    match error.reason:
        case "short":
            return _("At least 8 characters, please.")
        case "long":
            return _("At most 1,000 characters, please.")
    return _("This is one of the first passwords that anybody would guess. Take another.")
