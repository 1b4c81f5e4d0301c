"""The log of a real process: a line for each request, with the request's id."""

import json
import re
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from email.message import Message
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from polls.config.settings import Postgres
from polls.domain.poll import Poll
from polls.storage.postgres.connect import connect
from tests.conftest import CreatePoll, empty_database
from tests.support.processes import Polls, serving


@pytest.fixture
def own(postgres: Postgres) -> Iterator[Postgres]:
    """A database of the test's own, which it may damage."""
    with empty_database(postgres, "logs") as own:
        yield own


def settings(postgres: Postgres, **log: object) -> dict[str, object]:
    address = {key: value for key, value in asdict(postgres).items() if value is not None}
    return {"postgres": address | {"minsize": 1, "maxsize": 2}, "log": log}


def send(polls: Polls, method: str, path: str, body: str | None = None, **headers: str) -> tuple[int, Message]:
    parts = urlsplit(polls.url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    content_type = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
    names = {name.replace("_", "-"): text for name, text in headers.items()}
    connection.request(method, path, body, content_type | names)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status, response.headers


def test_the_text_log_contains_the_request_id_of_each_response(own: Postgres, tmp_path: Path) -> None:
    with serving(tmp_path, config=settings(own, format="text")) as polls:
        break_pages(own)
        voted, vote = send(
            polls,
            "POST",
            "/poll/1/vote?secret",
            "choice=1",
            Cookie=f"polls_voter={'5ec3e7' * 5}00",
            X_Request_ID="secret",
        )
        failed, failure = send(polls, "GET", "/poll/1?secret")
        polls.end()

    log = polls.log.read_text()
    assert (voted, failed) == (503, 500)
    line = re.search(r"INFO aiohttp\.access: POST /poll/1/vote 503 \d+ \d\.\d{4} \[(\w+)\]\n", log)
    assert line
    assert line[1] == vote["X-Request-ID"]
    error = rf"ERROR polls\.web\.\S+: .*\[{failure['X-Request-ID']}\]\nTraceback"
    assert re.search(error, log)
    for secret in ("secret", "5ec3e7", "127.0.0.1", "choice"):
        assert secret not in log, secret


def break_pages(postgres: Postgres) -> None:
    """Cause an unexpected error on each page of a poll."""
    with connect(postgres) as connection, connection, connection.cursor() as cursor:
        cursor.execute("ALTER TABLE question RENAME COLUMN edition TO something_else")


def test_the_json_log_contains_the_request_id_and_client_addresses_if_configured(
    postgres: Postgres, poll: Poll, tmp_path: Path
) -> None:
    path = f"/poll/{poll.question.id}/vote"
    headers = {"X_Request_ID": "from-the-proxy", "X_Forwarded_For": "10.0.0.1, 203.0.113.7"}
    with serving(
        tmp_path, config=settings(postgres, format="json", client_addresses=True) | {"trusted_proxies": 1}
    ) as polls:
        statuses = [
            send(polls, "POST", path, f"choice={poll.choices[0].id}", **headers)[0],
            send(polls, "GET", "/nowhere")[0],
        ]
        polls.end()

    entries = [json.loads(line) for line in polls.log.read_text().splitlines()]
    vote, missing = (entry for entry in entries if entry["logger"] == "aiohttp.access")
    assert statuses == [vote["status"], missing["status"]] == [303, 404]
    assert (vote["request_id"], vote["client_network"]) == ("from-the-proxy", "203.0.113.7")
    assert vote["message"].endswith(" 203.0.113.7")
    assert re.fullmatch("[0-9a-f]{16}", missing["request_id"])
    assert missing["client_network"] == "127.0.0.1"
    assert not any("request_id" in entry for entry in entries if entry["logger"] != "aiohttp.access")


HANDSHAKE = (
    b"GET /poll/1/live HTTP/1.1\r\nHost: polls\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
VOTE = b"POST /poll/1/vote HTTP/1.1\r\nHost: polls\r\nContent-Type: application/x-www-form-urlencoded\r\n"
FAULTS = [
    HANDSHAKE + b"Sec-WebSocket-Protocol: chat\r\n\r\n",
    HANDSHAKE + b"\r\n" + b"\x81\xfe\xff\xff" + b"x" * 100,  # a message that is too large
    HANDSHAKE + b"\r\n" + b"\xff" * 100,  # frames that are none
    HANDSHAKE.replace(b": 13", b": 1") + b"\r\n",
    HANDSHAKE.replace(b"AAAA", b"\xff") + b"\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
    b"GET / HTTP/1.1\r\nHost: polls\r\nCookie: \x00\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: polls\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
    b"GET /\xff%ff HTTP/1.1\r\nHost: polls\r\n\r\n",
    VOTE + b"Origin: http://evil.example\r\nContent-Length: 8\r\n\r\nchoice=1",
    VOTE + b"Content-Length: 8\r\n\r\nchoi",
    VOTE + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    VOTE + b"Content-Encoding: gzip\r\nContent-Length: 8\r\n\r\nnot gzip",
    VOTE + b"Expect: nonsense\r\nContent-Length: 8\r\n\r\nchoice=1",
]


@pytest.mark.parametrize("level", ["debug", "info"])
def test_no_logger_of_any_library_tells_a_clients_address(
    postgres: Postgres, poll: Poll, tmp_path: Path, level: str
) -> None:
    address = "127.0.0.99"
    break_off = struct.pack("ii", 1, 0)  # SO_LINGER: reset the connection
    with serving(tmp_path, config=settings(postgres, level=level)) as polls:
        assert polls.url.startswith("http://127.0.0.1:"), poll
        server = "127.0.0.1", urlsplit(polls.url).port or 0
        for fault in FAULTS:
            for is_reset in (False, True):
                with socket.create_connection(server, 5, (address, 0)) as client:
                    client.sendall(fault)
                    if is_reset:
                        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, break_off)
                    else:
                        client.shutdown(socket.SHUT_WR)
                        with suppress(ConnectionError):
                            while client.recv(65536):
                                pass
        assert polls.end() == 0

    assert "GET /poll/1/live 101 " in polls.log.read_text()
    assert [line for line in polls.log.read_text().splitlines() if address in line] == []


@pytest.fixture
def poll(create_poll: CreatePoll) -> Poll:
    return create_poll("Tea?", "Yes")
