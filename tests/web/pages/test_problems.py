import asyncio
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from polls.app import create_app
from polls.config.settings import Config
from polls.domain.errors import PollsUnavailable
from polls.storage import poll_list, questions
from polls.storage.postgres.connect import Connection
from tests.conftest import CreatePoll
from tests.support.pages import find, links, parse, words

ADDRESSES = {
    "/": "GET,HEAD",
    "/poll/1": "GET,HEAD",
    "/poll/1/results": "GET,HEAD",
    "/poll/1/vote": "GET,HEAD,POST",
    "/language/en": "GET,HEAD",
    "/static/css/public.css": "GET,HEAD",
}


@pytest.mark.parametrize(("address", "allowed"), ADDRESSES.items())
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
async def test_an_unsupported_method_is_answered_with_the_allowed_ones(
    client: TestClient, create_poll: CreatePoll, address: str, allowed: str, method: str
) -> None:
    create_poll("Tea?", "Yes")

    response = await client.request(method, address, allow_redirects=False)

    if method in allowed.split(","):
        assert response.status != 405
    else:
        assert response.status == 405
        assert response.headers["Allow"] == allowed
        assert "Not allowed" in words(parse(await response.text()))


@pytest.mark.parametrize("address", ["/", "/poll/1", "/poll/1/results", "/nowhere", "/poll/2"])
async def test_head_has_the_status_and_headers_of_get(
    client: TestClient, create_poll: CreatePoll, address: str
) -> None:
    create_poll("Tea?", "Yes")

    known = {"Cookie": f"polls_voter={'0' * 32}"}  # without it, each response sets a random one

    get, head = await client.get(address, headers=known), await client.head(address, headers=known)

    assert head.status == get.status
    own = {"Date": "", "X-Request-ID": ""}  # different in each response
    assert {**head.headers, **own} == {**get.headers, **own}
    assert await head.read() == b""


FAILURES: dict[int, tuple[str, str, dict[str, Any]]] = {
    400: ("POST", "/poll/1/vote", {"data": b"x", "headers": {"Content-Type": "multipart/form-data"}}),
    403: ("POST", "/poll/1/vote", {"headers": {"Sec-Fetch-Site": "cross-site"}}),
    404: ("GET", "/poll/999", {}),
    405: ("DELETE", "/", {}),
    413: ("POST", "/poll/1/vote", {"data": {"choice": "1" * 70_000}}),
    500: ("GET", "/", {}),
    503: ("GET", "/poll/1", {}),
}


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch, create_poll: CreatePoll) -> None:
    """Make the front page raise an unexpected error, and the poll's page fail for want of the database."""

    async def read(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a secret")

    async def find(_: object, question_id: int) -> None:
        if question_id != 999:
            raise PollsUnavailable

    create_poll("Tea?", "Yes")
    monkeypatch.setattr(poll_list, "read", read)
    monkeypatch.setattr(questions, "find", find)


@pytest.mark.usefixtures("failing")
@pytest.mark.parametrize("status", FAILURES)
async def test_every_error_page_links_to_the_latest_polls(client: TestClient, status: int) -> None:
    method, address, fields = FAILURES[status]

    response = await client.request(method, address, **fields)

    page = parse(await response.text())
    assert response.status == status
    assert links(page)["See the latest polls"] == "/"
    assert str(status) in words(page)
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.usefixtures("failing")
@pytest.mark.parametrize("status", FAILURES)
async def test_clients_that_accept_json_get_problem_details(client: TestClient, status: int) -> None:
    method, address, fields = FAILURES[status]
    headers = {"Accept": "application/json", "Accept-Language": "zh", **fields.get("headers", {})}

    response = await client.request(method, address, **fields | {"headers": headers})

    problem = await response.json(content_type="application/problem+json")
    assert response.status == problem["status"] == status
    assert problem.keys() == {"type", "title", "status", "detail", "request_id"}
    assert problem["request_id"] == response.headers["X-Request-ID"]
    assert response.headers["Content-Language"] == "zh-Hans"
    assert response.headers["Vary"] == "Accept-Language, Cookie, Accept"
    assert "secret" not in str(problem)


async def test_a_vote_without_a_choice_in_json_gets_problem_details(
    client: TestClient, create_poll: CreatePoll
) -> None:
    create_poll("Tea?", "Yes")

    response = await client.post("/poll/1/vote", data={"choice": "99"}, headers={"Accept": "application/json"})

    problem = await response.json(content_type="application/problem+json")
    assert (problem["status"], problem["detail"]) == (400, "That choice is no longer available.")


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("*/*", "text/html"),
        ("", "text/html"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html"),
        ("text/html, application/json", "text/html"),
        ("application/json;q=0.1, text/html;q=0.2", "text/html"),
        ("application/problem+json", "application/problem+json"),
        ("text/html;q=0.1, APPLICATION/JSON", "application/problem+json"),
        ("application/json;q=0", "text/html"),
        ("application/json;q=x", "text/html"),
        (";;;,,,q=", "text/html"),
    ],
)
async def test_the_accept_header_decides_between_page_and_json(
    client: TestClient, accept: str, content_type: str
) -> None:
    response = await client.get("/nowhere", headers={"Accept": accept})

    assert response.content_type == content_type


@pytest.mark.usefixtures("failing")
@pytest.mark.parametrize(("status", "is_retryable"), [(404, False), (413, False), (500, True), (503, True)])
async def test_a_server_errors_button_tries_the_same_address_again(
    client: TestClient, status: int, is_retryable: bool
) -> None:
    method, address, fields = FAILURES[status]

    page = parse(await (await client.request(method, address, **fields)).text())

    (button,) = find(page, "a", class_="button")
    expected = ("Try again", "") if is_retryable else ("See the latest polls", "/")
    assert (words(button), button.get("href")) == expected


@pytest.mark.usefixtures("failing")
async def test_an_unexpected_error_is_logged_with_its_traceback_and_shows_none(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    response = await client.get("/")

    page = await response.text()
    assert response.status == 500
    assert "Something went wrong" in words(parse(page))
    assert "secret" not in page
    assert "Traceback" not in page
    (record,) = [record for record in caplog.records if record.name == "polls.web.pages.error_responses"]
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


@pytest.mark.usefixtures("failing")
async def test_development_shows_the_traceback(config: Config, aiohttp_client: Any) -> None:
    client = await aiohttp_client(create_app(replace(config, development=True)))

    assert "a secret" in await (await client.get("/")).text()


async def test_if_the_error_template_is_broken_the_error_is_shown_as_text(
    config: Config, aiohttp_client: Any, tmp_path: Path
) -> None:
    (tmp_path / "error.html").write_text("{{ nothing.of.the.kind }}")
    client = await aiohttp_client(create_app(replace(config, templates=tmp_path)))

    response = await client.get("/nowhere")

    assert response.status == 404
    assert (await response.text()).startswith("Page not found")


async def test_a_database_that_hangs_is_answered_with_503(
    client: TestClient, create_poll: CreatePoll, database: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    create_poll("Tea?", "Yes")
    database.autocommit = False
    with database.cursor() as cursor:
        cursor.execute("LOCK TABLE question")

    response = await client.get("/poll/1")

    page = parse(await response.text())
    database.rollback()
    assert response.status == 503
    assert response.headers["Retry-After"] == "3"
    assert "Try again in a few seconds" in words(page)
    assert links(page)["See the latest polls"] == "/"
    assert [record.levelno for record in caplog.records if record.name == "polls.web.pages.error_responses"] == [
        logging.WARNING
    ]
    assert (await client.get("/poll/1")).status == 200


async def test_an_error_page_is_never_stored_by_a_cache(client: TestClient) -> None:
    assert (await client.get("/nowhere")).headers["Cache-Control"] == "no-store"


async def raw(client: TestClient, request: bytes) -> bytes:
    """Return the status line of the response to a request that no client library would send."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(request)
    await writer.drain()
    async with asyncio.timeout(5):
        status = await reader.readline()
    writer.close()
    return status


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b"[",
        b"[::1",
        b"a b",
        b"<script>",
        b"host:port",
        b"host:99999999",
        b"\xff\xfe",
        b"a" * 5000,
        b"..",
        b"@",
        b"/",
    ],
)
@pytest.mark.parametrize("target", [b"GET /", b"GET /nowhere", b"POST /poll/1/vote", b"GET /static/css/public.css"])
async def test_an_invalid_host_is_no_server_error(
    client: TestClient, create_poll: CreatePoll, host: bytes, target: bytes
) -> None:
    create_poll("Tea?", "Yes")

    status = await raw(client, target + b" HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n")

    assert status.split()[1][:1] in {b"2", b"4"}, status


@pytest.mark.parametrize(
    "line",
    [
        b"GET http://[::1/ HTTP/1.1",
        b"GET http://elsewhere/poll/1 HTTP/1.1",
        b"GET //elsewhere/poll/1 HTTP/1.1",
        b"GET /%00 HTTP/1.1",
        b"GET /%FF%FE?%FF=%00 HTTP/1.1",
        b"GET /?page=%FF HTTP/1.1",
        b"GET /../../etc/passwd HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"CONNECT elsewhere:443 HTTP/1.1",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1",
        b"GET",
        b"BREW / HTTP/1.1",
        b"\0\0\0\0",
        b"GET / HTTP/9.9",
    ],
)
async def test_an_invalid_request_line_is_no_server_error(client: TestClient, line: bytes) -> None:
    status = await raw(client, line + b"\r\nHost: polls\r\nConnection: close\r\n\r\n")

    assert status.split()[1][:1] in {b"2", b"4"}, status


@pytest.mark.parametrize(
    "header",
    [
        b"Cookie: polls_language=\xff; =; ;;; language",
        b"Accept-Language: \xff,;q=,*;q=nan,zh;q=inf",
        b"Accept: \xff;q=1e999",
        b"Origin: \xff",
        b"Sec-Fetch-Site: \xff",
        b"Range: bytes=9-1",
        b"If-Modified-Since: yesterday",
        b'If-None-Match: "',
        b"Expect: the impossible",
        b"Expect: x\xff",
        b"Content-Length: 99999999999999999999",
        b"Content-Length: -1",
        b"Transfer-Encoding: chunked, chunked",
    ],
)
@pytest.mark.parametrize("target", [b"GET /", b"POST /poll/1/vote", b"GET /static/css/public.css"])
async def test_an_invalid_header_is_no_server_error(
    client: TestClient, create_poll: CreatePoll, header: bytes, target: bytes
) -> None:
    create_poll("Tea?", "Yes")
    request = target + b" HTTP/1.1\r\nHost: polls\r\nConnection: close\r\n" + header + b"\r\n\r\n"
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(request)
    writer.write_eof()
    async with asyncio.timeout(5):
        status = await reader.readline()
    writer.close()

    # A request with an incomplete body gets no response.
    assert not status or status.split()[1][:1] in {b"2", b"3", b"4"}, status
