"""Those who look after polls: letting in, shutting out."""

from aiohttp import web

from polls.domain.account import MOST_LETTERS
from polls.domain.errors import LastAdmin, UnfitPassword, UnfitUsername, UsernameTaken
from polls.storage import accounts
from polls.web.admin.account import fault_of_password
from polls.web.http.forms import line, read_form
from polls.web.keys import DATABASE, PASSWORDS
from polls.web.pages.languages import Language
from polls.web.pages.private import AdminView


class UsersView(AdminView):
    """Who may sign in; and a form to let in somebody else."""

    async def get(self) -> web.StreamResponse:
        return await self.ask()

    async def post(self) -> web.StreamResponse:
        self._check()
        form = await read_form(self.request)
        username, password = line(form, "username"), form.get("password", "")
        faults = {}
        if password != form.get("again", ""):
            faults["again"] = self.language.gettext("The two passwords differ.")
        else:
            try:
                kept = await self.request.app[PASSWORDS].hash(password, username)
                await accounts.add(self.request.app[DATABASE], self.person, username, kept)
            except (UnfitUsername, UsernameTaken) as error:
                faults["username"] = _fault_of_username(error, self.language)
            except UnfitPassword as error:
                faults["password"] = fault_of_password(error, self.language)
        if faults:
            return await self.ask(status=400, faults=faults, username=username)
        return self.go(self.url("admin_users"), flash="user-added")

    async def ask(self, *, status: int = 200, **context: object) -> web.Response:
        """Show the list, and the form."""
        self._check()
        users = await accounts.list_accounts(self.request.app[DATABASE])
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
        database, account_id = self.request.app[DATABASE], int(self.request.match_info["id"])
        match form.get("do", ""):
            case "disable":
                try:
                    await accounts.disable(database, self.person, account_id)
                except LastAdmin:
                    problem = self.language.gettext(
                        "This is the last one who can sign in. Add or enable another first."
                    )
                    return await self.ask(status=409, problem=problem)
                flash = "user-disabled"
            case "enable":
                await accounts.enable(database, self.person, account_id)
                flash = "user-enabled"
            case "end":
                await accounts.end_sessions(database, self.person, account_id)
                flash = "sessions-ended"
            case _:
                raise web.HTTPBadRequest
        return self.go(self.url("admin_users"), flash=flash)


def _fault_of_username(error: UnfitUsername | UsernameTaken, language: Language) -> str:
    """What is wrong with a user name, in words."""
    _ = language.gettext
    if isinstance(error, UsernameTaken):
        return _("Somebody is called so already.")
    unfit = _("Letters, digits, and . - _ @ + make a user name; at most %(most)s of them.")
    return unfit % {"most": language.number(MOST_LETTERS)}
