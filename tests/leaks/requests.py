"""The requests with which the routes of polls are tried: an entry for each route."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from polls.domain.poll import State
from polls.storage.listing import Column
from polls.web.pages.confirmation import ACTIONS, ADMIN_ACTIONS
from tests.leaks.polls import CHOICES, ENDED, POLLS, PUBLISHED, VISIBILITIES, TwinPoll
from tests.support.raw_http import Request, handshake

JSON = {"Accept": "application/json"}
_GZIP, _CHINESE = {"Accept-Encoding": "gzip"}, {"Accept-Language": "zh"}
_ANY_ETAG = {"If-None-Match": "*"}

PollRequests = Callable[[TwinPoll, str], Iterable[Request]]  # for a poll, and the role of its viewer


def _read(path: str, *queries: str, headers: Iterable[Mapping[str, str]] = ()) -> Iterator[Request]:
    """Yield requests that change nothing: GET, HEAD, of JSON, with `queries`, and with `headers`."""
    yield from (Request("GET", path), Request("HEAD", path), Request("GET", path, headers=JSON))
    yield from (Request("GET", path + query) for query in queries)
    yield from (Request("GET", path, headers=each) for each in headers)


def _page(page: str, *queries: str, headers: Iterable[Mapping[str, str]] = ()) -> PollRequests:
    """Return the requests for a page of a poll that answers no POST."""

    def requests(poll: TwinPoll, _: str) -> Iterator[Request]:
        path = f"/poll/{poll.slug}{page}"
        yield from _read(path, *queries, headers=headers)
        yield Request("POST", path, {})

    return requests


def _only_for(editor: str, requests: PollRequests) -> PollRequests:
    """Return `requests` for the role `editor`. Others are refused, which doesn't depend on the method of voting."""

    def some_requests(poll: TwinPoll, role: str) -> Iterator[Request]:
        if role == editor:
            yield from requests(poll, role)
        elif poll.method == "single":
            for request in requests(poll, role):
                yield Request("GET", request.path)
                if role == "stranger" and request.method == "GET":
                    yield Request("POST", request.path, {})
                return

    return some_requests


def _vote(poll: TwinPoll, _: str) -> Iterator[Request]:
    """Yield ballots that are refused."""
    path, (first, second, third) = f"/poll/{poll.slug}/vote", poll.choice_ids
    yield from _read(path)
    for form in (
        {},
        {"choice": "0"},
        {"choice": str(third + 1)},  # of another poll
        {f"points.{first}": "x"},
        {f"points.{first}": "99", f"points.{second}": "99"},
    ):
        yield Request("POST", path, form)
    yield Request("POST", path, {"choice": "999999999"}, headers=JSON)


def _live(poll: TwinPoll, role: str) -> Iterator[Request]:
    """Yield requests that aren't handshakes; a test of its own sends these."""
    yield from _page("/live")(poll, role)
    yield handshake(f"/poll/{poll.slug}/live")._replace(method="POST")


def _access_link(poll: TwinPoll, _: str) -> Iterator[Request]:
    yield from _read(f"/poll/{poll.slug}/as/{poll.key}")
    yield Request("GET", f"/poll/{poll.slug}/as/{'z' * len(poll.key)}")


def _action(path: str, actions: Iterable[str]) -> Iterator[Request]:
    """Yield requests for the pages that ask for confirmation."""
    for action in actions:
        yield Request("GET", f"{path}/{action}")


def _edit(path: str, poll: TwinPoll) -> Iterator[Request]:
    """Yield requests for the form, and forms that aren't saved: an error, other rules, a choice removed, a broken seal.

    The last one was filled in before the poll was saved by another request.
    """
    form = unchanged(poll)
    yield Request("GET", path)
    yield Request("POST", path, {**form, "choice.1.text": CHOICES[0]})
    yield Request("POST", path, {**form, "method": "score" if poll.method == "single" else "single"})
    yield Request("POST", path, {**form, "choice.2.remove": "yes"})
    yield Request("POST", path, {**form, "choice.2.remove": "yes", "confirmed": str(poll.choice_ids[2])})
    if poll.settings.is_sealed:
        yield Request("POST", path, {**form, "results": "always"})
    yield Request("POST", path, {**form, "edition": "1"})


def unchanged(poll: TwinPoll) -> dict[str, str]:
    """Return the fields of the form of a poll that change nothing but its text."""
    form = {"text": "Which?", "edition": str(poll.edition)}
    form |= dict(zip(("published_date", "published_time"), PUBLISHED.partition("+")[0].split(), strict=True))
    if poll.visibility.has_ended:
        form |= dict(zip(("closes_date", "closes_time"), ENDED.partition("+")[0].split(), strict=True))
    for number, choice_id in enumerate(poll.choice_ids):
        form |= {f"choice.{number}.id": str(choice_id), f"choice.{number}.text": CHOICES[number]}
    return form


# The message after a vote.
_COUNTED = {"Cookie": "polls_flash=counted.1"}
_CHANGED = {"Cookie": "polls_flash=changed.1"}

OF_POLLS: dict[str, PollRequests] = {
    "poll": _page("", "?x=1", headers=(_GZIP, _CHINESE)),
    "vote": _vote,
    "results": _page("/results", "?after=1", headers=(_GZIP, _CHINESE, _ANY_ETAG, _COUNTED)),
    "ballot": _page("/ballot", headers=(_GZIP, _CHINESE, _COUNTED, _CHANGED)),
    "live": _live,
    "presenter": _page("/present", "?reveal=yes", headers=(_GZIP, _CHINESE)),
    "share": lambda poll, _: [Request("GET", f"/poll/{poll.slug}/share"), Request("HEAD", f"/poll/{poll.slug}/share")],
    "qr_code": lambda poll, _: [Request("GET", f"/poll/{poll.slug}/qr.svg")],
    "qr_code_png": lambda poll, _: [Request("GET", f"/poll/{poll.slug}/qr.png")],
    "manage": _only_for("owner", _page("/manage", headers=(_CHINESE, {"Cookie": "polls_flash=cleared.1"}))),
    "own_poll_edit": _only_for("owner", lambda poll, _: _edit(f"/poll/{poll.slug}/edit", poll)),
    "new_link": _only_for("owner", lambda poll, _: _read(f"/poll/{poll.slug}/new-link")),
    "own_poll_action": _only_for("owner", lambda poll, _: _action(f"/poll/{poll.slug}", ACTIONS)),
    "access_link": _access_link,
    "results_csv": _page("/results.csv", headers=(_CHINESE,)),
    "results_json": _page("/results.json"),
    "results_xlsx": _page("/results.xlsx"),
    "ballots_csv": _page("/ballots.csv"),
    "ballots_json": _page("/ballots.json"),
    "poll_edit": _only_for("admin", lambda poll, _: _edit(f"/admin/polls/{poll.id}", poll)),
    "poll_action": _only_for("admin", lambda poll, _: _action(f"/admin/polls/{poll.id}", ADMIN_ACTIONS)),
    "poll_history": _only_for("admin", lambda poll, _: _read(f"/admin/polls/{poll.id}/history")),
}


def _site(path: str, *queries: str, headers: Iterable[Mapping[str, str]] = ()) -> Callable[[], Iterator[Request]]:
    def requests() -> Iterator[Request]:
        yield from _read(path, *queries, headers=headers)
        yield Request("POST", path, {})

    return requests


def _admin_selected() -> Iterator[Request]:
    """Yield requests for confirmations; none is confirmed."""
    path = "/admin/polls/selected"
    yield from _read(path)
    hidden = " ".join(str(poll.id) for poll in POLLS if "admin" in poll.visibility.hidden_from)
    for action in ADMIN_ACTIONS:
        yield Request("POST", path, {"do": action, "poll": hidden})
        yield Request("POST", path, {"do": action, "matching": "q=sealed"})


def _poll_add() -> Iterator[Request]:
    path = "/admin/polls/add"
    yield from _read(path)
    for poll in POLLS:
        yield Request("GET", f"{path}?key={'a' * 32}&copy={poll.id}")
    yield Request("POST", path, {})


_PAGES = [f"?page={number}" for number in range(2, 2 + len(POLLS) // 5)]
_SEARCHES = [f"?q={visibility.name.replace('-', '+')}" for visibility in VISIBILITIES]
_ORDERS = [f"?sort={order}" for column in Column for order in (column, f"-{column}", f"-ballots,{column}")]
_STATES = [f"?state={state}" for state in State]

OF_THE_SITE: dict[str, Callable[[], Iterable[Request]]] = {
    "index": _site("/", *_PAGES, *_SEARCHES, *_STATES, headers=(_GZIP, _CHINESE)),
    "ask": _site("/ask", *(f"?copy={poll.slug}" for poll in POLLS)),
    "admin": _site("/admin/", *_ORDERS, *_STATES, "?q=sealed", "?visibility=hidden"),
    "sign_in": _site("/admin/login"),
    "sign_out": lambda: _read("/admin/logout"),  # a POST would end the session
    "poll_add": _poll_add,
    "admin_selected": _admin_selected,
    "admin_history": _site("/admin/history", "?page=2", "?mine=yes", headers=(_CHINESE,)),
    "admin_users": _site("/admin/users/"),
    "admin_user": _site("/admin/users/1"),
    "admin_account": _site("/admin/account"),
    "health": _site("/healthz"),
    "ready": _site("/readyz"),
    "language": _site("/language/zh-Hans"),
    "privacy": _site("/privacy"),
    "imprint": _site("/imprint"),
    "favicon": _site("/favicon.ico"),
    "robots": _site("/robots.txt"),
    "manifest": _site("/manifest.webmanifest"),
    "static": _site("/static/js/live-results.js"),
}
