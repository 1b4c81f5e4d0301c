"""The log of a real process: a line for each request, with the request's id."""

import json
import re
from collections.abc import Iterator
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


@pytest.fixture
def poll(create_poll: CreatePoll) -> Poll:
    return create_poll("Tea?", "Yes")
