"""Every address of polls."""

from collections.abc import Mapping

from aiohttp import web

from polls import paths
from polls.web.admin.account import AccountView
from polls.web.admin.bulk_actions import DeleteView, SelectionView
from polls.web.admin.history import HistoryView, PollHistoryView
from polls.web.admin.poll_list import EntranceView as AdminEntranceView
from polls.web.admin.poll_list import ListView
from polls.web.admin.sign_in import SignInView, SignOutView
from polls.web.admin.users import UsersView, UserView
from polls.web.http.expectations import continue_if_asked
from polls.web.http.numbers import NUMBER
from polls.web.keys import CONFIG
from polls.web.manage.poll_editor import AddView, ChangeView
from polls.web.ops.health import HealthView, ReadyView
from polls.web.pages.base import View
from polls.web.public.index import IndexRedirectView, IndexView
from polls.web.public.language import LanguageView
from polls.web.public.poll import PollPageView
from polls.web.public.presenter import PresenterView
from polls.web.public.results import ResultsView
from polls.web.public.vote import VoteView
from polls.web.public.watch import WatchView

# How a poll is addressed, everywhere: one address a page. Templates write `question.slug`.
POLL = f"/poll/{{slug:{NUMBER}}}"

VIEWS: list[tuple[str, type[View], str]] = [
    ("/", IndexView, "index"),
    (POLL + "/vote", VoteView, "vote"),
    (POLL, PollPageView, "poll"),
    (POLL + "/results", ResultsView, "results"),
    (POLL + "/live", WatchView, "live"),
    (POLL + "/present", PresenterView, "presenter"),
    ("/admin/", ListView, "admin"),
    ("/admin", AdminEntranceView, "admin_entrance"),
    ("/admin/login", SignInView, "sign_in"),
    ("/admin/logout", SignOutView, "sign_out"),
    ("/admin/polls/add", AddView, "admin_add"),
    ("/admin/polls/selected", SelectionView, "admin_selected"),
    (f"/admin/polls/{{slug:{NUMBER}}}", ChangeView, "admin_poll"),
    (f"/admin/polls/{{slug:{NUMBER}}}/delete", DeleteView, "admin_delete"),
    (f"/admin/polls/{{slug:{NUMBER}}}/history", PollHistoryView, "admin_poll_history"),
    ("/admin/history", HistoryView, "admin_history"),
    ("/admin/users/", UsersView, "admin_users"),
    (f"/admin/users/{{id:{NUMBER}}}", UserView, "admin_user"),
    ("/admin/account", AccountView, "admin_account"),
    ("/healthz", HealthView, "health"),
    ("/readyz", ReadyView, "ready"),
    ("/language/{tag}", LanguageView, "language"),
]


def setup_routes(app: web.Application) -> None:
    """Connect every address with its view, below the configured prefix."""
    prefix = app[CONFIG].prefix
    pages: dict[str, web.AbstractRoute] = {}
    app.router.register_resource(_PagesOfPolls(prefix, pages))
    for path, view, name in VIEWS:
        route = app.router.add_view(prefix + path, view, name=name, expect_handler=continue_if_asked)
        if path.startswith(POLL):
            pages[path.removeprefix(POLL)] = route
    if prefix:
        app.router.add_view(prefix, IndexRedirectView, name="index_redirect", expect_handler=continue_if_asked)
    app.router.add_static(
        prefix + "/static/", paths.STATIC, name="static", append_version=True, expect_handler=continue_if_asked
    )


class _PagesOfPolls(web.DynamicResource):
    """Finds the page of a poll by one pattern, where aiohttp would try the patterns of all, one after the other.

    `pages` are the routes by what follows upon the poll's address.
    """

    def __init__(self, prefix: str, pages: Mapping[str, web.AbstractRoute]) -> None:
        super().__init__(prefix + POLL + "{page:(?:/[a-z]+)?}")
        self._pages = pages

    async def resolve(self, request: web.Request) -> tuple[web.UrlMappingMatchInfo | None, set[str]]:
        found = self.get_info()["pattern"].fullmatch(request.rel_url.path_safe)
        route = self._pages.get(found["page"]) if found else None
        if found is None or route is None:
            return None, set()
        return web.UrlMappingMatchInfo({"slug": found["slug"]}, route), set()
