"""Requests that are small to send and were expensive to answer: other clients are served meanwhile."""

import gzip
import re
import socket
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from polls.config.settings import Postgres
from tests.deploy.test_limits import serving_with_limits
from tests.support.healthz import healthy
from tests.support.processes import Polls
from tests.support.watchers import connect

LIMITS = {"body_timeout": 4}  # no more than an attack may take
MULTIPART, URLENCODED = "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"
PART = b'\r\n--x\r\nContent-Disposition: form-data; name="choice"\r\n\r\n1\r\n'
MARKS = "a" + "\u0300\u0316" * 15_000  # combining marks that Unicode sorts when a text is normalized


def compressed(content: bytes, times: int = 1) -> bytes:
    """Return `content` repeated and compressed, without ever holding it as a whole."""
    compressor = zlib.compressobj(wbits=31)
    return b"".join([compressor.compress(content) for _ in range(times)]) + compressor.flush()


# Path, Content-Type, Content-Encoding (or "chunked"), body, and the status of the response.
REQUESTS = {
    "a compressed preamble of multipart": ("/poll/1/vote", MULTIPART, "gzip", compressed(b"\r\n" * 500_000, 8), 415),
    "a compressed form": ("/poll/1/vote", URLENCODED, "gzip", compressed(b"a" * 1_000_000, 170), 415),
    "deflate": ("/poll/1/vote", URLENCODED, "deflate", zlib.compress(b"choice=1"), 415),
    "an unknown encoding": ("/poll/1/vote", URLENCODED, "x-none", b"choice=1", 415),
    "a compressed body that nothing reads": ("/healthz", URLENCODED, "gzip", compressed(b"a" * 1_000_000, 170), 405),
    "a long preamble of multipart": ("/poll/1/vote", MULTIPART, "", b"\r\n" * 2_000_000 + PART, 413),
    "a long preamble of multipart in chunks": ("/poll/1/vote", MULTIPART, "chunked", b"\r\n" * 2_000_000 + PART, 413),
    "a large part": ("/poll/1/vote", MULTIPART, "", PART.replace(b"1", b"1" * 70_000), 413),
    "many parts": ("/poll/1/vote", MULTIPART, "", PART * 100_000, 413),
    "a user name of combining marks": ("/admin/login", URLENCODED, "", b"username=" + MARKS.encode(), 413),
    "a user name of fewer marks": ("/admin/login", URLENCODED, "", b"username=" + MARKS[:7_000].encode(), 400),
    "a password of combining marks": ("/admin/login", URLENCODED, "", b"password=" + MARKS[:7_000].encode(), 400),
}


@pytest.fixture(scope="module")
def polls(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Polls]:
    with serving_with_limits(postgres, tmp_path_factory.mktemp("bounded"), "bounded", LIMITS) as polls:
        yield polls


def post(polls: Polls, path: str, content_type: str, encoding: str, body: bytes) -> bytes:
    """Return the response to a form, of which the server may read as much as it wants."""
    address = urlsplit(polls.url)
    headers = ["Host: polls", f"Content-Type: {content_type}", "Connection: close"]
    if encoding == "chunked":
        headers.append("Transfer-Encoding: chunked")
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    else:
        headers += [f"Content-Length: {len(body)}", *([f"Content-Encoding: {encoding}"] if encoding else [])]
    head = "\r\n".join([f"POST {path} HTTP/1.1", *headers, "", ""])
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(head.encode() + body)
        return receive_all(connection)


def receive_all(connection: socket.socket) -> bytes:
    received = b""
    while chunk := connection.recv(65_536):
        received += chunk
    return received


def status(response: bytes) -> int:
    return int(response.split()[1])


@pytest.mark.parametrize("name", REQUESTS)
def test_a_form_that_is_expensive_to_read_is_refused_at_once(polls: Polls, name: str) -> None:
    *request, expected = REQUESTS[name]

    with healthy(polls.url):
        response = post(polls, *request)  # type: ignore[arg-type]

    assert status(response) == expected
    assert "Traceback" not in polls.log.read_text()


def test_a_refused_compressed_form_is_told_to_come_uncompressed(polls: Polls) -> None:
    response = post(polls, "/poll/1/vote", URLENCODED, "gzip", gzip.compress(b"choice=1")).decode()

    assert "Accept-Encoding: identity\r\n" in response
    assert "Send the form uncompressed. Nothing was saved." in response


def get(polls: Polls, path: str, *headers: str) -> bytes:
    address = urlsplit(polls.url)
    lines = [f"GET {path} HTTP/1.1", "Connection: close", *headers, "", ""]
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall("\r\n".join(lines).encode("latin-1"))
        return receive_all(connection)


def test_all_headers_together_are_limited(polls: Polls) -> None:
    long = ["Host: polls", *(f"X-{number}: {'a' * 8000}" for number in range(60))]

    response = get(polls, "/", *long)

    assert status(response) == 431
    assert b"Request too large" in response


def test_a_long_accept_language_is_neither_parsed_nor_kept(polls: Polls) -> None:
    def resident() -> int:
        """Return the resident memory of the process in kB."""
        text = Path(f"/proc/{polls.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text)[1])  # type: ignore[index]

    def header(number: int) -> str:
        return "Accept-Language: " + ",".join(f"a{number + tag}" for tag in range(1200))

    get(polls, "/", "Host: polls", *(header(0) for _ in range(3)))
    before = resident()
    with healthy(polls.url):
        for number in range(500):
            assert status(get(polls, "/", "Host: polls", *(header(number) for _ in range(3)))) == 200

    assert resident() - before < 5_000  # they have sent 15 MB


def test_qr_codes_for_made_up_hosts_do_not_delay_other_requests(polls: Polls) -> None:
    address = urlsplit(polls.url)
    with healthy(polls.url), ExitStack() as stack:
        connections = []
        for number in range(40):
            connection = socket.create_connection((address.hostname, address.port), timeout=30)
            connections.append(stack.enter_context(connection))
            request = f"GET /poll/1/present HTTP/1.1\r\nConnection: close\r\nHost: {number:0>100}\r\n\r\n"
            connection.sendall(request.encode())
        responses = [receive_all(connection) for connection in connections]

    assert {status(response) for response in responses} == {200}


@pytest.mark.parametrize(
    ("request_head", "expected"),
    [
        (b"GET / HTTP/1.1\r\nHost: polls\r\nCookie: polls_session=SECRET\x01", 400),
        (b"GET / HTTP/1.1\r\nHost: polls\r\nCookie: polls_session=SECRET" + b"a" * 9000, 431),
        (b"GET / HTTP/1.1\r\nHost: SECRET\r\nHost: polls", 400),
        (b"SECRET", 400),
    ],
)
def test_the_response_to_invalid_http_repeats_nothing_of_it(polls: Polls, request_head: bytes, expected: int) -> None:
    address = urlsplit(polls.url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(request_head + b"\r\n\r\n")
        response = receive_all(connection).decode()

    assert status(response.encode()) == expected
    for line in ("Server: polls", "Cache-Control: no-store", "X-Content-Type-Options: nosniff"):
        assert f"\r\n{line}\r\n" in response
    request_id = re.search(r"\r\nX-Request-ID: ([0-9a-f]{16})\r\n", response)
    assert request_id
    assert response.endswith(f"Request ID: {request_id[1]}\n")
    assert re.search(rf"refused a request that is not valid HTTP: \w+ \[{request_id[1]}\]", polls.log.read_text())
    for text in (response, polls.log.read_text()):
        assert "SECRET" not in text
        assert "Traceback" not in text


@pytest.mark.parametrize("opcode", [9, 10])
def test_pings_and_pongs_count_as_messages(polls: Polls, opcode: int) -> None:
    watcher = connect(polls.url)
    with watcher.socket, healthy(polls.url):
        watcher.socket.settimeout(10)
        frame = bytes([0x80 | opcode, 0x80, 0, 0, 0, 0])
        watcher.socket.sendall(frame * 50)
        received = receive_all(watcher.socket)

    assert b"too many messages" in received


def test_a_watcher_that_resets_its_connection_while_pings_are_answered_is_no_error(polls: Polls) -> None:
    for _ in range(30):
        watcher = connect(polls.url)
        watcher.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        watcher.socket.sendall(bytes([0x89, 0x80, 0, 0, 0, 0]) * 15)
        watcher.socket.close()
    assert status(get(polls, "/healthz", "Host: polls")) == 200

    log = polls.log.read_text()
    assert "Traceback" not in log
    assert not re.search(r"/live 5\d\d", log)
