"""Two processes of polls that differ in hidden numbers only, and what each answers to the same request."""

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from polls.config.settings import Postgres
from tests.leaks.polls import POLLS, SESSION, TO_CHANGE, TwinPoll, end, twin_databases
from tests.support.processes import Polls, eventually, free_port, serving
from tests.support.raw_http import RawClient, Request, Response

VOTER, _ANOTHER_VOTER = "1" * 32, "2" * 32

# All that may differ between two responses, beside the request's id: the time, and what is random.
_RANDOM = re.compile(
    rb"(\nDate: |polls_voter=|polls_owner=|polls_asked-[a-z0-9-]+=|\?key=|name=\"access_key\" value=\")[^\r;&\"]+"
)


@dataclass
class Twins:
    """The two processes, their databases, and the signed ballots of the voter, which are the same in both."""

    processes: tuple[Polls, Polls]
    databases: tuple[Postgres, Postgres]
    metrics_ports: tuple[int, int]
    ballots: dict[int, str] = field(default_factory=dict)  # {poll id: value of the cookie}

    def __post_init__(self) -> None:
        self._clients = self.new_clients()

    def new_clients(self) -> list[RawClient]:
        return [RawClient(urlsplit(process.url).port or 0) for process in self.processes]

    def close(self) -> None:
        for client in self._clients:
            client.close()

    def ask(self, request: Request, cookies: Mapping[str, str]) -> tuple[Response, Response]:
        """Send a request to both, and return their responses without times and random values."""
        for client in self._clients:
            client.send(request, cookies)
        first, second = (client.receive(request) for client in self._clients)
        return normalized(first), normalized(second)

    def cookies(self, poll: TwinPoll, role: str) -> dict[str, str]:
        """Return the cookies that the browser of someone with `role` sends to the pages of `poll`."""
        match role:
            case "forger":
                made_up = f"{poll.choice_ids[0]}{'-3' if poll.settings.most_points else ''}"
                return {"polls_voter": VOTER, "polls_ballot": made_up}
            case "voter":
                return {"polls_voter": VOTER, "polls_ballot": self.ballots[poll.id]}
            case "owner":
                return {"polls_owner": poll.key}
            case "admin":
                return {"polls_session": SESSION}
        return {}

    def vote(self, poll: TwinPoll, voter: str = _ANOTHER_VOTER) -> dict[str, str]:
        """Vote for the first choice, and return the cookies that were set."""
        request = Request("POST", f"/poll/{poll.slug}/vote", poll.ballot)
        first, second = self.ask(request, {"polls_voter": voter})
        assert (first.status, first) == (303, second)
        return first.cookies()


@contextmanager
def running_twins(postgres: Postgres, folder: Path) -> Iterator[Twins]:
    """Serve both databases; the voter has voted for the first choice of each poll."""
    with ExitStack() as stack:
        databases = stack.enter_context(twin_databases(postgres))
        ports = free_port(), free_port()
        first, second = (
            stack.enter_context(serving(_folder(folder, port), f"--metrics={port}", config=_config(database)))
            for port, database in zip(ports, databases, strict=True)
        )
        twins = stack.enter_context(closing(Twins((first, second), databases, ports)))
        for poll in (*POLLS, *TO_CHANGE):
            twins.ballots[poll.id] = twins.vote(poll, VOTER)["polls_ballot"]
        ended = [poll for poll in POLLS if poll.visibility.has_ended]
        for database in databases:
            end(database, ended)
        for poll in ended:
            assert eventually(lambda poll=poll: _has_ended(twins, poll))  # type: ignore[misc]
        yield twins


def _folder(folder: Path, port: int) -> Path:
    (own := folder / str(port)).mkdir()
    return own


def _has_ended(twins: Twins, poll: TwinPoll) -> bool:
    responses = twins.ask(Request("GET", f"/poll/{poll.slug}"), {})
    return all(b"/vote" not in response.body for response in responses)


def _config(database: Postgres) -> dict[str, object]:
    address = {key: value for key, value in asdict(database).items() if value is not None}
    return {
        "postgres": address | {"minsize": 2, "maxsize": 4},
        "creating": {"who": "anyone"},
        "limits": {"keepalive_timeout": 600},
        "log": {"level": "debug"},
    }


def normalized(response: Response) -> Response:
    """Return a response without what may differ."""
    request_id = (response.header("X-Request-ID") or "none").encode()
    head, body = (part.replace(request_id, b"ID") for part in response)
    return Response(_RANDOM.sub(rb"\1RANDOM", head), _RANDOM.sub(rb"\1RANDOM", body) if b"access_key" in body else body)
