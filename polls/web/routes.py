"""Every address of polls."""

from aiohttp import web

from polls import paths
from polls.web.admin.account import AccountView
from polls.web.admin.editing import AddView, ChangeView
from polls.web.admin.history import HistoryView, PollHistoryView
from polls.web.admin.polls import EntranceView, ListView
from polls.web.admin.selection import DeleteView, SelectionView
from polls.web.admin.sign_in import SignInView, SignOutView
from polls.web.admin.users import UsersView, UserView
from polls.web.ballots import VoteView
from polls.web.base import View
from polls.web.expectations import continue_if_asked
from polls.web.health import ReadyView
from polls.web.language_choice import LanguageView
from polls.web.numbers import NUMBER
from polls.web.pages import DetailView, IndexView, ResultsView
from polls.web.present import PresentView
from polls.web.watch import WatchView


def _view(path: str, view: type[View], name: str) -> web.RouteDef:
    return web.view(path, view, name=name, expect_handler=continue_if_asked)


# How a poll is addressed, everywhere: one address a page. Templates write `question.address`.
POLL = f"/poll/{{address:{NUMBER}}}"

# Of several that begin alike, aiohttp tries one after the other: those that most ask for come first.
ROUTES = [
    _view("/", IndexView, name="index"),
    _view(POLL + "/vote", VoteView, name="vote"),
    _view(POLL, DetailView, name="poll"),
    _view(POLL + "/results", ResultsView, name="results"),
    _view(POLL + "/live", WatchView, name="live"),
    _view(POLL + "/present", PresentView, name="present"),
    _view("/admin/", ListView, name="admin"),
    _view("/admin", EntranceView, name="admin_entrance"),
    _view("/admin/login", SignInView, name="sign_in"),
    _view("/admin/logout", SignOutView, name="sign_out"),
    _view("/admin/polls/add", AddView, name="admin_add"),
    _view("/admin/polls/selected", SelectionView, name="admin_selected"),
    _view(f"/admin/polls/{{address:{NUMBER}}}", ChangeView, name="admin_poll"),
    _view(f"/admin/polls/{{address:{NUMBER}}}/delete", DeleteView, name="admin_delete"),
    _view(f"/admin/polls/{{address:{NUMBER}}}/history", PollHistoryView, name="admin_poll_history"),
    _view("/admin/history", HistoryView, name="admin_history"),
    _view("/admin/users/", UsersView, name="admin_users"),
    _view(f"/admin/users/{{id:{NUMBER}}}", UserView, name="admin_user"),
    _view("/admin/account", AccountView, name="admin_account"),
    _view("/readyz", ReadyView, name="ready"),
    _view("/language/{tag}", LanguageView, name="language"),
    web.static("/static/", paths.STATIC, name="static", append_version=True, expect_handler=continue_if_asked),
]


def setup_routes(app: web.Application) -> None:
    """Connect every address with its view."""
    app.router.add_routes(ROUTES)
