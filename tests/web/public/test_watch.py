"""Live results over a WebSocket."""

import asyncio
import json
from socket import SHUT_RDWR
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType, WSServerHandshakeError
from aiohttp.test_utils import TestClient

from polls.domain.errors import PollsUnavailable
from polls.live.poll_cache import PollCache
from polls.storage.postgres.connect import Connection
from polls.web.http.security_headers import SECURITY_HEADERS
from polls.web.keys import BROADCASTER
from polls.web.public import watch
from tests.conftest import CreatePoll

Socket = ClientWebSocketResponse


async def open_socket(client: TestClient, poll: int = 1, **headers: str) -> Socket:
    return await client.ws_connect(f"/poll/{poll}/live", headers=headers)


async def receive(socket: Socket) -> dict[str, Any]:
    message: dict[str, Any] = await socket.receive_json(timeout=5)
    return message


async def vote(client: TestClient, choice: int = 1) -> None:
    answer = await client.post("/poll/1/vote", data={"choice": choice}, allow_redirects=False)
    assert answer.status == 303


def execute(database: Connection, statement: str) -> None:
    with database.cursor() as cursor:
        cursor.execute(statement)


async def test_a_new_watcher_gets_the_results(client: TestClient, create_poll: CreatePoll) -> None:
    poll = create_poll("Tea?", "Yes", "No", votes=(2, 1))

    socket = await open_socket(client)

    assert await receive(socket) == {
        "revision": poll.revision,
        "edition": poll.edition,
        "ballots": 3,
        "closed": False,
        "live": True,
        "hidden": None,
        "decimals": 0,
        "adds_up": True,
        "votes": 3,
        "points": 0,
        "choices": {
            "1": {"votes": 2, "points": 0, "value": 67, "sign": "", "bar": 66.667, "leads": True},
            "2": {"votes": 1, "points": 0, "value": 33, "sign": "", "bar": 33.333, "leads": False},
        },
    }


async def test_each_vote_is_sent_to_all_watchers(client: TestClient, create_poll: CreatePoll) -> None:
    poll = create_poll("Tea?", "Yes", "No")
    sockets = [await open_socket(client) for _ in range(3)]
    for socket in sockets:
        await receive(socket)

    await vote(client, 2)

    for socket in sockets:
        message = await receive(socket)
        assert (message["revision"], message["ballots"], message["choices"]["2"]) == (
            poll.revision + 1,
            1,
            {"votes": 1, "points": 0, "value": 100, "sign": "", "bar": 100, "leads": True},
        )


async def test_an_edit_in_the_database_is_sent_as_a_new_edition(
    client: TestClient, create_poll: CreatePoll, database: Connection
) -> None:
    poll = create_poll("Tea?", "Yes", "No")
    socket = await open_socket(client)
    await receive(socket)

    execute(database, "UPDATE choice SET choice_text = 'Certainly' WHERE id = 1")

    assert (await receive(socket))["edition"] == poll.edition + 1


async def test_reaching_the_closing_time_is_sent(
    client: TestClient, create_poll: CreatePoll, database: Connection
) -> None:
    create_poll("Tea?", "Yes")
    execute(database, "UPDATE question SET closes_at = now() + interval '1 second'")
    socket = await open_socket(client)

    assert [(await receive(socket))["closed"] for _ in range(2)] == [False, True]


@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM question", "UPDATE question SET pub_date = now() + interval '1 day'", "DELETE FROM choice"],
)
async def test_when_a_poll_is_gone_its_sockets_are_closed(
    client: TestClient, create_poll: CreatePoll, database: Connection, statement: str
) -> None:
    create_poll("Tea?", "Yes")
    socket = await open_socket(client)
    await receive(socket)

    execute(database, statement)

    end = await socket.receive(timeout=5)
    assert (end.type, socket.close_code) == (WSMsgType.CLOSE, 1000)
    assert end.extra


async def test_when_polls_stops_sockets_are_closed_as_going_away(client: TestClient, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes")
    socket = await open_socket(client)
    await receive(socket)

    closing = asyncio.create_task(client.server.close())

    assert (await socket.receive(timeout=5)).type == WSMsgType.CLOSE
    assert socket.close_code == 1001
    await closing


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://elsewhere.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "http://polls.example:1", "Host": "polls.example:2"}, 403),
        ({"Origin": "http://polls.example:2", "Host": "polls.example:2"}, 101),
        ({"Origin": "https://polls.example", "Host": "polls.example"}, 101),
        ({}, 101),
    ],
)
async def test_handshakes_from_other_sites_are_refused(
    client: TestClient, create_poll: CreatePoll, headers: dict[str, str], status: int
) -> None:
    create_poll("Tea?", "Yes")

    if status == 101:
        await receive(await open_socket(client, **headers))
    else:
        with pytest.raises(WSServerHandshakeError) as refusal:
            await open_socket(client, **headers)
        assert refusal.value.status == status


async def test_an_unknown_poll_is_not_found_before_the_upgrade(client: TestClient) -> None:
    with pytest.raises(WSServerHandshakeError) as refusal:
        await open_socket(client, 999)

    assert refusal.value.status == 404


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_request_without_upgrade_is_answered_with_426(
    client: TestClient, create_poll: CreatePoll, method: str
) -> None:
    create_poll("Tea?", "Yes")

    answer = await client.request(method, "/poll/1/live")

    assert (answer.status, answer.headers["Upgrade"]) == (426, "websocket")


async def test_a_websocket_of_another_version_is_told_the_one_that_polls_speaks(
    client: TestClient, create_poll: CreatePoll
) -> None:
    create_poll("Tea?", "Yes")
    handshake = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "12"}

    answer = await client.get("/poll/1/live", headers=handshake | {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="})

    assert (answer.status, answer.headers["Sec-WebSocket-Version"]) == (426, "13")


async def test_the_handshake_carries_the_security_headers(client: TestClient, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes")

    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }

    response = await client.get("/poll/1/live", headers=handshake)

    assert response.status == 101
    assert {name: response.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
    response.close()


async def test_messages_of_clients_are_ignored(client: TestClient, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes")
    socket = await open_socket(client)
    await receive(socket)

    await socket.send_str("hello")
    await socket.send_bytes(b"\xff")
    await vote(client)

    assert (await receive(socket))["ballots"] == 1


async def test_a_client_that_sends_too_many_messages_is_disconnected(
    client: TestClient, create_poll: CreatePoll
) -> None:
    create_poll("Tea?", "Yes")
    socket = await open_socket(client)
    await receive(socket)

    for _ in range(30):
        await socket.send_str("hello")

    assert (await socket.receive(timeout=5)).type == WSMsgType.CLOSE
    assert socket.close_code == 1008


async def test_a_client_that_sends_a_too_large_message_is_disconnected(
    client: TestClient, create_poll: CreatePoll
) -> None:
    create_poll("Tea?", "Yes")
    socket = await open_socket(client)
    await receive(socket)

    await socket.send_str("x" * 2000)

    assert (await socket.receive(timeout=5)).type == WSMsgType.CLOSE
    assert socket.close_code == 1009


async def test_a_client_that_does_not_answer_the_heartbeat_is_disconnected(
    client: TestClient, create_poll: CreatePoll, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "HEARTBEAT", 0.2)
    create_poll("Tea?", "Yes")
    responsive = await open_socket(client)
    silent = await client.ws_connect("/poll/1/live", autoping=False)
    assert len(client.app[BROADCASTER]) == 2  # type: ignore[union-attr]

    async def listen() -> None:
        async for _ in responsive:
            pass

    listening = asyncio.create_task(listen())
    async with asyncio.timeout(5):
        while len(client.app[BROADCASTER]) == 2:  # type: ignore[union-attr]
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)

    assert len(client.app[BROADCASTER]) == 1  # type: ignore[union-attr]
    listening.cancel()
    await silent.close()


async def test_disconnected_watchers_are_removed(client: TestClient, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes")
    orderly, abrupt = [await open_socket(client) for _ in range(2)]
    await receive(orderly)
    await receive(abrupt)

    await orderly.close()
    abrupt.get_extra_info("socket").shutdown(SHUT_RDWR)

    async with asyncio.timeout(5):
        while len(client.app[BROADCASTER]):  # type: ignore[union-attr]
            await asyncio.sleep(0.02)


async def test_when_the_poll_can_not_be_read_the_socket_is_closed_with_try_again_later(
    client: TestClient, create_poll: CreatePoll, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_poll("Tea?", "Yes")
    find = PollCache.find
    answers = iter([find])

    async def once(self: PollCache, question_id: int, *, after: int = 0) -> Any:
        if answer := next(answers, None):
            return await answer(self, question_id, after=after)
        raise PollsUnavailable

    monkeypatch.setattr(PollCache, "find", once)
    socket = await open_socket(client)

    assert (await socket.receive(timeout=5)).type == WSMsgType.CLOSE
    assert socket.close_code == 1013


async def test_a_message_is_compact_json(client: TestClient, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes")
    socket = await open_socket(client)

    text = await socket.receive_str(timeout=5)

    assert json.dumps(json.loads(text), separators=(",", ":")) == text


async def test_an_invalid_key_is_no_handshake(client: TestClient, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes")
    reader, writer = await asyncio.open_connection(client.host, client.port)

    writer.write(
        b"GET /poll/1/live HTTP/1.1\r\nHost: polls\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \xff\xfe\r\n\r\n"
    )

    assert b" 426 " in await reader.readline()
    writer.close()


async def test_disconnecting_during_the_handshake_is_no_error(
    client: TestClient, create_poll: CreatePoll, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    create_poll("Tea?", "Yes")
    find = PollCache.find

    async def slow(self: PollCache, question_id: int, *, after: int = 0) -> Any:
        await asyncio.sleep(0.2)
        return await find(self, question_id, after=after)

    monkeypatch.setattr(PollCache, "find", slow)
    for _ in range(20):
        _, writer = await asyncio.open_connection(client.host, client.port)
        writer.write(
            b"GET /poll/1/live HTTP/1.1\r\nHost: polls\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        await writer.drain()
        writer.transport.abort()
    await asyncio.sleep(0.5)

    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    assert len(client.app[BROADCASTER]) == 0  # type: ignore[union-attr]
