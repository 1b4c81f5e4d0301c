"""Every URL of polls, with its view and its name."""

from collections.abc import Mapping

from aiohttp import HttpVersion11, web

from polls.web.admin.account import AccountView
from polls.web.admin.bulk_actions import BulkActionView
from polls.web.admin.history import HistoryView, PollHistoryView
from polls.web.admin.poll_list import PollListView
from polls.web.admin.sign_in import SignInView, SignOutView
from polls.web.admin.users import UsersView, UserView
from polls.web.http.parameters import NUMBER, SLUG
from polls.web.http.static import serve_static
from polls.web.keys import CONFIG
from polls.web.manage.ask import AskView
from polls.web.manage.overview import AccessLinkView, NewLinkView, OverviewView
from polls.web.manage.poll_action import AdminPollActionView, OwnPollActionView
from polls.web.manage.poll_editor import AddPollView, EditOwnPollView, EditPollView
from polls.web.ops.health import HealthView, ReadyView
from polls.web.pages.base import View
from polls.web.pages.confirmation import ACTIONS, ADMIN_ACTIONS
from polls.web.public.ballot import BallotView
from polls.web.public.ballot_exports import BallotsCSVView, BallotsJSONView
from polls.web.public.exports import ResultsCSVView, ResultsJSONView, ResultsXLSXView
from polls.web.public.index import IndexView
from polls.web.public.language import LanguageView
from polls.web.public.poll import PollPageView
from polls.web.public.presenter import PresenterView
from polls.web.public.qr_code import QRCodePNGView, QRCodeView
from polls.web.public.results import ResultsView
from polls.web.public.share import ShareView
from polls.web.public.site_files import FaviconView, ManifestView, RobotsView
from polls.web.public.site_texts import ImprintView, PrivacyView
from polls.web.public.vote import VoteView
from polls.web.public.watch import WatchView

# The URL of a poll, the same in all routes. Templates use `question.slug`.
POLL = f"/poll/{{slug:{SLUG}}}"

VIEWS: list[tuple[str, type[View], str]] = [
    (POLL + "/vote", VoteView, "vote"),
    (POLL + "/results", ResultsView, "results"),
    (POLL, PollPageView, "poll"),
    (POLL + "/ballot", BallotView, "ballot"),
    ("/", IndexView, "index"),
    ("/ask", AskView, "ask"),
    (POLL + "/live", WatchView, "live"),
    (POLL + "/present", PresenterView, "presenter"),
    (POLL + "/share", ShareView, "share"),
    (POLL + "/qr.svg", QRCodeView, "qr_code"),
    (POLL + "/qr.png", QRCodePNGView, "qr_code_png"),
    (POLL + "/manage", OverviewView, "manage"),
    (POLL + "/edit", EditOwnPollView, "own_poll_edit"),
    (POLL + "/new-link", NewLinkView, "new_link"),
    (f"{POLL}/{{action:{'|'.join(ACTIONS)}}}", OwnPollActionView, "own_poll_action"),
    (POLL + "/as/{key}", AccessLinkView, "access_link"),
    (POLL + "/results.csv", ResultsCSVView, "results_csv"),
    (POLL + "/results.json", ResultsJSONView, "results_json"),
    (POLL + "/results.xlsx", ResultsXLSXView, "results_xlsx"),
    (POLL + "/ballots.csv", BallotsCSVView, "ballots_csv"),
    (POLL + "/ballots.json", BallotsJSONView, "ballots_json"),
    ("/admin/", PollListView, "admin"),
    ("/admin/login", SignInView, "sign_in"),
    ("/admin/logout", SignOutView, "sign_out"),
    ("/admin/polls/add", AddPollView, "poll_add"),
    ("/admin/polls/selected", BulkActionView, "admin_selected"),
    (f"/admin/polls/{{id:{NUMBER}}}", EditPollView, "poll_edit"),
    (f"/admin/polls/{{id:{NUMBER}}}/{{action:{'|'.join(ADMIN_ACTIONS)}}}", AdminPollActionView, "poll_action"),
    (f"/admin/polls/{{id:{NUMBER}}}/history", PollHistoryView, "poll_history"),
    ("/admin/history", HistoryView, "admin_history"),
    ("/admin/users/", UsersView, "admin_users"),
    (f"/admin/users/{{id:{NUMBER}}}", UserView, "admin_user"),
    ("/admin/account", AccountView, "admin_account"),
    ("/healthz", HealthView, "health"),
    ("/readyz", ReadyView, "ready"),
    ("/language/{tag}", LanguageView, "language"),
    ("/privacy", PrivacyView, "privacy"),
    ("/imprint", ImprintView, "imprint"),
    ("/favicon.ico", FaviconView, "favicon"),
    ("/robots.txt", RobotsView, "robots"),
    ("/manifest.webmanifest", ManifestView, "manifest"),
]


def setup_routes(app: web.Application) -> None:
    """Add all routes below the configured prefix."""
    prefix, router = app[CONFIG].prefix, app.router
    poll_pages: dict[str, web.AbstractRoute] = {}
    router.register_resource(_PollPages(prefix, poll_pages))
    for path, view, name in VIEWS:
        route = router.add_route("*", prefix + path, view, name=name, expect_handler=_send_continue)
        if path.startswith(POLL):
            poll_pages[path.removeprefix(POLL)] = route
    router.add_get(prefix + "/static/{filename:.*}", serve_static, name="static", expect_handler=_send_continue)


class _PollPages(web.DynamicResource):
    """One resource for all public pages of a poll: aiohttp would try the pattern of each page in turn.

    Without it, the CPU time of a poll's page was 12 % higher, and that of its results 19 % (`make bench`, medians of
    three times seven rounds). `pages` are the routes by the rest of the path after the poll's slug, such as "/vote".
    """

    def __init__(self, prefix: str, pages: Mapping[str, web.AbstractRoute]) -> None:
        super().__init__(prefix + POLL + "{page:(?:/[a-z.-]+)?}")
        self._pages = pages

    async def resolve(self, request: web.Request) -> tuple[web.UrlMappingMatchInfo | None, set[str]]:
        match = self.get_info()["pattern"].fullmatch(request.rel_url.path_safe)
        route = self._pages.get(match["page"]) if match else None
        if match is None or route is None:
            return None, set()
        return web.UrlMappingMatchInfo({"slug": match["slug"]}, route), set()


async def _send_continue(request: web.Request) -> None:
    """Send "100 Continue" to a client that waits for it before it sends its body; ignore every other expectation.

    aiohttp's own handler rejects other expectations without our error page, and fails on one that isn't text.
    """
    if request.version >= HttpVersion11 and request.headers["Expect"].lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # These bytes are not part of the response, whose size is logged.
        request.writer.output_size = 0
