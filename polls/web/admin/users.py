"""User management: adding, disabling and enabling accounts, ending their sessions."""

from aiohttp import web
from multidict import MultiMapping

from polls.domain.account import validate_username
from polls.domain.errors import InvalidUsername, LastAdmin, UsernameTaken
from polls.storage import accounts
from polls.web.admin.account_errors import field_error, new_password_errors
from polls.web.http.forms import read_form, text_field
from polls.web.keys import PASSWORDS
from polls.web.pages.flash import Flash
from polls.web.pages.private import SignedInView

# Each with the kind of its flash message.
_ACTIONS = {
    "disable": (accounts.disable, "user-disabled"),
    "enable": (accounts.enable, "user-enabled"),
    "end": (accounts.end_sessions, "sessions-ended"),
}


class UsersView(SignedInView):
    """The list of accounts and a form that adds one."""

    async def get(self) -> web.StreamResponse:
        return await self.show_users()

    async def resume(self, form: MultiMapping[str]) -> web.StreamResponse:
        return await self.show_users(username=text_field(form, "username"), flash=Flash("signed-in-again"))

    async def post(self) -> web.StreamResponse:
        self.check_permission()
        form = await read_form(self.request)
        username = text_field(form, "username")
        errors = await new_password_errors(form, username, self.language)
        try:
            await self._check_username(username)
            if not errors:
                password_hash = await self.request.app[PASSWORDS].hash(form["password"], username)
                await accounts.add(self.database, self.person, username, password_hash)
        except (InvalidUsername, UsernameTaken) as error:
            errors["username"] = field_error(error, self.language)
        if errors:
            return await self.show_users(status=400, errors=errors, username=username)
        return self.redirect(self.url("admin_users"), Flash("user-added"))

    async def _check_username(self, username: str) -> None:
        """Raise InvalidUsername or UsernameTaken if no account can get this name."""
        if await accounts.find(self.database, validate_username(username)):
            raise UsernameTaken

    async def show_users(self, *, status: int = 200, **context: object) -> web.Response:
        """Show the list and the form."""
        self.check_permission()
        users = await accounts.list_accounts(self.database)
        return self.show(
            "admin/users.html",
            status=status,
            users=users,
            **{"errors": {}, "username": "", "problem": None, "here": self.url("admin_users"), **context},
        )

    def check_permission(self) -> None:
        """Raise HTTPForbidden unless the person may manage accounts."""
        if not self.person.may_manage_accounts:
            raise web.HTTPForbidden


class UserView(UsersView):
    """Actions on one account: disable, enable, end its sessions."""

    async def get(self) -> web.StreamResponse:
        return self.redirect(self.url("admin_users"))

    async def post(self) -> web.StreamResponse:
        self.check_permission()
        form = await read_form(self.request)
        change, kind = _ACTIONS.get(form.get("do", ""), (None, ""))
        if change is None:
            raise web.HTTPBadRequest
        try:
            await change(self.database, self.person, int(self.request.match_info["id"]))
        except LastAdmin:
            problem = self.language.gettext("This is the last user who can sign in. Add or enable another user first.")
            return await self.show_users(status=409, problem=problem)
        return self.redirect(self.url("admin_users"), Flash(kind))
