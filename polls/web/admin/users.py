"""User management: adding, disabling and enabling accounts, ending their sessions."""

from aiohttp import web

from polls.domain.errors import InvalidPassword, InvalidUsername, LastAdmin, UsernameTaken
from polls.storage import accounts
from polls.web.admin.account_errors import password_error, username_error
from polls.web.http.forms import read_form, text_field
from polls.web.keys import DATABASE, PASSWORDS
from polls.web.pages.private import Flash, SignedInView


class UsersView(SignedInView):
    """The list of accounts and a form that adds one."""

    async def get(self) -> web.StreamResponse:
        return await self.show_users()

    async def post(self) -> web.StreamResponse:
        self.check_permission()
        form = await read_form(self.request)
        username, password = text_field(form, "username"), form.get("password", "")
        errors = {}
        if password != form.get("again", ""):
            errors["again"] = self.language.gettext("The two passwords don't match.")
        else:
            try:
                password_hash = await self.request.app[PASSWORDS].hash(password, username)
                await accounts.add(self.request.app[DATABASE], self.person, username, password_hash)
            except (InvalidUsername, UsernameTaken) as error:
                errors["username"] = username_error(error, self.language)
            except InvalidPassword as error:
                errors["password"] = password_error(error, self.language)
        if errors:
            return await self.show_users(status=400, errors=errors, username=username)
        return self.redirect(self.url("admin_users"), Flash("user-added"))

    async def show_users(self, *, status: int = 200, **context: object) -> web.Response:
        """Show the list and the form."""
        self.check_permission()
        users = await accounts.list_accounts(self.request.app[DATABASE])
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
        raise web.HTTPSeeOther(self.url("admin_users"))

    async def post(self) -> web.StreamResponse:
        self.check_permission()
        form = await read_form(self.request)
        database, account_id = self.request.app[DATABASE], int(self.request.match_info["id"])
        match form.get("do", ""):
            case "disable":
                try:
                    await accounts.disable(database, self.person, account_id)
                except LastAdmin:
                    problem = self.language.gettext(
                        "This is the last user who can sign in. Add or enable another user first."
                    )
                    return await self.show_users(status=409, problem=problem)
                flash = Flash("user-disabled")
            case "enable":
                await accounts.enable(database, self.person, account_id)
                flash = Flash("user-enabled")
            case "end":
                await accounts.end_sessions(database, self.person, account_id)
                flash = Flash("sessions-ended")
            case _:
                raise web.HTTPBadRequest
        return self.redirect(self.url("admin_users"), flash)
