"""Live results of polls that hide them: each WebSocket gets what the cookies of its handshake may see, and no more."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType
from aiohttp.test_utils import TestClient

from polls.app import create_app
from polls.config.settings import Config
from polls.domain.access_keys import hash_of
from polls.domain.settings import PollSettings, Results
from polls.live.session_cache import SessionCache
from polls.storage import sessions
from polls.storage.passwords import Passwords
from polls.storage.postgres.connect import Connection
from polls.web.keys import DATABASE, PASSWORDS, SESSION_CACHE
from polls.web.public import watch
from tests.conftest import CreatePoll
from tests.web.conftest import CHEAP, PASSWORD, Client, add_account

AFTER_VOTE = PollSettings(results=Results.AFTER_VOTE)
KEY = "0123456789abcdefghjkmnpqrs"
POLL = "/poll/k7m2q9xdtb"

Socket = ClientWebSocketResponse


@pytest.fixture
async def browsers(client: Client) -> AsyncIterator[list[Client]]:
    """Four other browsers than the client's."""
    browsers: list[Client] = [TestClient(client.server) for _ in range(4)]
    yield browsers
    for browser in browsers:
        await browser.session.close()


@pytest.fixture
def poll(create_poll: CreatePoll, database: Connection) -> None:
    """A poll that shows its results after voting, whose owner has KEY."""
    create_poll("Tea?", "Yes", "No", votes=(2, 1), settings=AFTER_VOTE, slug="k7m2q9xdtb")
    execute(database, "UPDATE poll_settings SET owner_hash = %s, asked_at = now()", hash_of(KEY))


def execute(database: Connection, statement: str, *values: object) -> None:
    with database.cursor() as cursor:
        cursor.execute(statement, values)


async def vote(browser: Client, path: str = POLL) -> None:
    await browser.get(path)
    answer = await browser.post(f"{path}/vote", data={"choice": "1"}, allow_redirects=False)
    assert answer.status == 303


async def seen(socket: Socket) -> int | str:
    """Return the votes of the first choice in the next message, or why they are hidden."""
    message: dict[str, Any] = await socket.receive_json(timeout=5)
    assert (message["choices"] is None) is bool(message["hidden"])
    assert "votes" not in message or not message["hidden"]
    return str(message["hidden"]) if message["hidden"] else int(message["choices"]["1"]["votes"])


@pytest.mark.usefixtures("poll")
async def test_each_socket_gets_what_its_cookies_may_see(client: Client, ada: Client, browsers: list[Client]) -> None:
    voter, owner, forger, other = browsers
    await vote(voter)
    await owner.get(f"{POLL}/as/{KEY}")
    await vote(other, POLL)
    cookies = {
        name: cookie.value for name, cookie in voter.session.cookie_jar.filter_cookies(voter.make_url(POLL)).items()
    }
    forged = "; ".join(f"{name}={'0' * 32 if 'voter' in name else value}" for name, value in cookies.items())
    sockets = [
        await client.ws_connect(f"{POLL}/live"),
        await forger.ws_connect(f"{POLL}/live", headers={"Cookie": forged}),
        *[await each.ws_connect(f"{POLL}/live?as=public") for each in (voter, owner, ada)],
        *[await each.ws_connect(f"{POLL}/live") for each in (voter, owner, ada)],
    ]

    first = [await seen(socket) for socket in sockets]
    await vote(client)
    second = [await seen(socket) for socket in sockets]

    assert first == ["vote"] * 5 + [4] * 3
    assert second == ["vote"] * 5 + [5] * 3


async def test_hidden_results_are_a_reason_and_the_number_of_voters(client: Client, create_poll: CreatePoll) -> None:
    poll = create_poll("Tea?", "Yes", "No", votes=(7, 5), settings=PollSettings(results_from=20))

    socket = await client.ws_connect("/poll/1/live")

    assert json.loads(await socket.receive_str(timeout=5)) == {
        "revision": poll.revision,
        "edition": poll.edition,
        "ballots": 12,
        "closed": False,
        "live": True,
        "hidden": "enough",
        "missing": 8,
        "choices": None,
    }


async def test_the_vote_that_was_missing_shows_the_results(client: Client, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes", "No", votes=(1, 0), settings=PollSettings(results_from=2))
    socket = await client.ws_connect("/poll/1/live")
    assert await seen(socket) == "enough"

    await vote(client, "/poll/1")

    assert await seen(socket) == 2


@pytest.mark.parametrize("results", ["after_close", "owner"])
async def test_the_end_shows_the_results_to_those_who_may_see_them_then(
    client: Client, create_poll: CreatePoll, database: Connection, results: str
) -> None:
    create_poll("Tea?", "Yes", "No", votes=(2, 1), settings=PollSettings(results=Results(results)))
    execute(database, "UPDATE question SET closes_at = clock_timestamp() + interval '0.4 seconds'")
    socket = await client.ws_connect("/poll/1/live")

    states = [await seen(socket) for _ in range(2)]

    assert states == (["close", 2] if results == "after_close" else ["never", "never"])


@pytest.mark.usefixtures("poll")
@pytest.mark.parametrize(
    ("statement", "voters", "owners"),
    [
        ("UPDATE poll_settings SET results = 'owner'", "never", 3),
        ("UPDATE poll_settings SET owner_hash = sha256('another')", 3, "vote"),
        ("UPDATE question SET voter_salt = DEFAULT", "vote", 3),
        ("UPDATE poll_settings SET results = 'always'", 3, 3),
    ],
)
async def test_an_edit_changes_what_open_sockets_get(
    browsers: list[Client], database: Connection, statement: str, voters: int | str, owners: int | str
) -> None:
    voter, owner, *_ = browsers
    await vote(voter)
    await owner.get(f"{POLL}/as/{KEY}")
    sockets = [await each.ws_connect(f"{POLL}/live") for each in (voter, owner)]
    assert [await seen(socket) for socket in sockets] == [3, 3]

    execute(database, statement)

    assert [await seen(socket) for socket in sockets] == [voters, owners]


async def test_the_sockets_of_an_admin_are_closed_after_signing_out(
    config: Config, aiohttp_client: Any, create_poll: CreatePoll, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "SESSION_INTERVAL", 0.05)
    create_poll("Tea?", "Yes", "No", votes=(2, 1), settings=AFTER_VOTE)
    app = create_app(config)
    app[PASSWORDS] = Passwords(CHEAP)
    app[SESSION_CACHE] = SessionCache(lambda token: sessions.find(app[DATABASE], token), lifetime=0)
    ada: Client = await aiohttp_client(app)
    await add_account(ada, "ada")
    await ada.post("/admin/login", data={"username": "ada", "password": PASSWORD}, allow_redirects=False)
    socket = await ada.ws_connect("/poll/1/live")
    assert await seen(socket) == 2

    await ada.post("/admin/logout", allow_redirects=False)

    assert (await socket.receive(timeout=5)).type == WSMsgType.CLOSE
    assert socket.close_code == 1008
    assert await seen(await ada.ws_connect("/poll/1/live")) == "vote"
