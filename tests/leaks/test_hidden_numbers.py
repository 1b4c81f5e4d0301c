"""Two polls that differ only in who got how many votes look the same to those who may not see that."""

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from urllib.request import urlopen

import pytest

from polls.app import create_app
from polls.config.settings import Config, Postgres
from polls.domain.methods import METHODS
from tests.leaks.polls import PLANTED, POLLS, ROLES, SESSION, TO_CHANGE, TwinPoll, counts
from tests.leaks.requests import OF_POLLS, OF_THE_SITE, unchanged
from tests.leaks.twins import VOTER, Twins, normalized, running_twins
from tests.support.raw_http import RawClient, Request, handshake

# The cookies that browsers send to pages that are no poll's, by role.
_OF_THE_SITE: dict[str, Mapping[str, str]] = {
    "stranger": {},
    "voter": {"polls_voter": VOTER, "polls_voted": ".".join(str(poll.id) for poll in POLLS[:50])},
    "owner": {f"polls_asked-{poll.slug}": str(poll.id) for poll in POLLS if "owner" in poll.visibility.hidden_from},
    "admin": {"polls_session": SESSION},
}

# Routes whose responses have numbers of votes, each with a role.
_WITH_NUMBERS = [
    *((route, "voter") for route in ("results", "results_csv", "results_json", "results_xlsx")),
    *((route, "voter") for route in ("ballots_csv", "ballots_json", "presenter")),
    *(("manage", "owner"), ("own_poll_edit", "owner"), ("poll_edit", "admin")),
]
# The metrics that count the requests of these tests, and may come to any number.
_OF_REQUESTS = re.compile(r"(?<=^polls_http_)(.*) [0-9.e+]+$", re.MULTILINE)
# The size of a response, in a line of the access log.
_SIZE = re.compile(r"(?<= [0-9]{3}) [0-9]+(?= [0-9]+\.[0-9]{4} \[)")


@pytest.fixture(scope="module")
def twins(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twins]:
    with running_twins(postgres, tmp_path_factory.mktemp("twins")) as twins:
        yield twins


def difference(twins: Twins, request: Request, cookies: Mapping[str, str]) -> str:
    """Return the request and the lines that differ in the responses to it; empty if they are the same."""
    first, second = twins.ask(request, cookies)
    if first == second:
        return ""
    lines = [b"".join(response).decode(errors="replace").splitlines() for response in (first, second)]
    return "\n".join([f"{request}, {dict(cookies)}", *difflib.unified_diff(*lines, lineterm="", n=0)])


def test_each_route_has_requests() -> None:
    app = create_app(Config(postgres=Postgres()))

    assert {*OF_POLLS, *OF_THE_SITE} == set(app.router.named_resources())


@pytest.mark.parametrize("route", OF_POLLS)
def test_no_page_of_a_poll_depends_on_hidden_numbers(twins: Twins, route: str) -> None:
    for poll in POLLS:
        for role in sorted(poll.visibility.hidden_from):
            cookies = twins.cookies(poll, role)
            for request in OF_POLLS[route](poll, role):
                assert difference(twins, request, cookies) == ""


@pytest.mark.parametrize("route", OF_THE_SITE)
def test_no_other_page_depends_on_hidden_numbers(twins: Twins, route: str) -> None:
    for cookies in _OF_THE_SITE.values():
        for request in OF_THE_SITE[route]():
            assert difference(twins, request, cookies) == ""


@pytest.mark.parametrize("poll", POLLS, ids=lambda poll: poll.slug)
def test_no_message_of_a_websocket_depends_on_hidden_numbers(twins: Twins, poll: TwinPoll) -> None:
    with ExitStack() as stack:
        sockets = {role: _watch(stack, twins, poll, role) for role in sorted(ROLES)}
        messages = {role: [_next_message(both, 0)] for role, both in sockets.items()}
        if not poll.visibility.has_ended:
            twins.vote(poll)
            for role, both in sockets.items():
                messages[role].append(_next_message(both, json.loads(messages[role][0][0])["ballots"]))

    hidden = {role: messages[role] for role in poll.visibility.hidden_from}
    assert all(first == second for pairs in hidden.values() for first, second in pairs), hidden
    if poll.visibility.name == "always":
        assert all(first != second for pairs in messages.values() for first, second in pairs)


def _watch(stack: ExitStack, twins: Twins, poll: TwinPoll, role: str) -> Sequence[RawClient]:
    request = handshake(f"/poll/{poll.slug}/live")
    clients = [stack.enter_context(closing(client)) for client in twins.new_clients()]
    for client in clients:
        client.send(request, twins.cookies(poll, role))
    first, second = (normalized(client.receive(request)) for client in clients)
    assert (first.status, first) == (101, second)
    return clients


def _next_message(clients: Sequence[RawClient], ballots: int) -> list[bytes]:
    """Return the next message that both get with more than so many ballots."""
    return [
        next(
            message for message in iter(client.receive_message, b"") if json.loads(message).get("ballots", 0) > ballots
        )
        for client in clients
    ]


def test_no_answer_to_a_change_depends_on_hidden_numbers(twins: Twins) -> None:
    for poll in TO_CHANGE:
        for role, requests in {"owner": _changes_by_owner(poll), "admin": _changes_by_admin(poll)}.items():
            for request in requests:
                assert difference(twins, request, twins.cookies(poll, role)) == ""
    ids = " ".join(str(poll.id) for poll in TO_CHANGE)
    for action in ("close", "reopen", "clear", "delete"):
        request = Request("POST", "/admin/polls/selected", {"do": action, "poll": ids, "confirmed": "yes"})
        assert difference(twins, request, _OF_THE_SITE["admin"]) == ""


def _changes_by_owner(poll: TwinPoll) -> list[Request]:
    path = f"/poll/{poll.slug}"
    edit = Request("POST", f"{path}/edit", unchanged(poll))
    return [edit, *(Request("POST", f"{path}/{page}", {}) for page in ("close", "reopen", "new-link"))]


def _changes_by_admin(poll: TwinPoll) -> list[Request]:
    path = f"/admin/polls/{poll.id}"
    return [Request("POST", f"{path}/{action}", {}) for action in ("unlist", "list", "hide", "show")]


@pytest.mark.parametrize(("route", "role"), _WITH_NUMBERS)
def test_the_same_requests_tell_numbers_that_are_not_hidden(twins: Twins, route: str, role: str) -> None:
    viewer = "stranger" if route == "presenter" else role  # everybody sees the big screen
    shown = [poll for poll in POLLS if viewer not in poll.visibility.hidden_from]

    assert {poll.method for poll in shown} == set(METHODS)
    for poll in shown:
        # The first one that differs is the last one: with others, polls whose numbers are shown could be changed.
        assert any(difference(twins, request, twins.cookies(poll, role)) for request in OF_POLLS[route](poll, role))


def test_neither_log_nor_metrics_have_hidden_numbers(twins: Twins) -> None:
    planted = [poll for poll in POLLS if poll.is_planted]
    hidden = {number for database in twins.databases for number in counts(database, planted) if number > 1000}
    for poll in planted:
        for requests in OF_POLLS.values():
            for request in requests(poll, "owner"):
                twins.ask(request, twins.cookies(poll, "owner"))
    page = b"".join(twins.ask(Request("GET", f"/poll/{planted[0].slug}/results"), {})[0]).decode()

    total = sum(PLANTED) + 1
    assert PLANTED[0] in hidden
    assert named({total, total + 1, *hidden}, page) in ({total}, {total + 1})  # with one more vote of another test
    for process, port in zip(twins.processes, twins.metrics_ports, strict=True):
        log = _SIZE.sub("", process.log.read_text())
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as metrics:
            text = _OF_REQUESTS.sub(r"\1", metrics.read().decode())
        assert f"/poll/{planted[0].slug}/results" in log
        assert "polls_votes_total" in text
        assert named(hidden, log) == named(hidden, text) == set()


def named(numbers: Iterable[int], text: str) -> set[int]:
    """Return those of `numbers` that `text` has as whole numbers."""
    found = {int(number.replace(",", "")) for number in re.findall(r"(?<![\w.:])\d{1,3}(?:,?\d{3})*(?![\w])", text)}
    return found & set(numbers)
