import asyncio
import logging
import socket
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import FormData
from aiohttp.test_utils import TestClient

from polls.storage.postgres.connect import Connection
from tests.conftest import CreatePoll
from tests.support.pages import find, parse, words

Votes = Callable[[], list[int]]


async def vote(client: TestClient, poll_id: int = 1, **fields: Any) -> Any:
    return await client.post(f"/poll/{poll_id}/vote", allow_redirects=False, **fields)


async def test_a_vote_counts_and_redirects_to_results_that_count_it(
    client: TestClient, create_poll: CreatePoll, votes: Votes
) -> None:
    poll = create_poll("Tea?", "Yes", "No")

    response = await vote(client, data={"choice": "2"})

    assert (response.status, response.headers["Location"]) == (303, f"/poll/1/results?after={poll.revision + 1}")
    assert votes() == [0, 1]


async def test_a_multipart_form_counts_too(client: TestClient, create_poll: CreatePoll, votes: Votes) -> None:
    create_poll("Tea?", "Yes", "No")
    form = FormData(default_to_multipart=True)
    form.add_field("choice", "1")

    assert (await vote(client, data=form)).status == 303
    assert votes() == [1, 0]


async def test_no_concurrent_vote_is_lost(client: TestClient, create_poll: CreatePoll, votes: Votes) -> None:
    create_poll("Tea?", "Yes", "No")

    answers = await asyncio.gather(*(vote(client, data={"choice": "1"}) for _ in range(100)))

    assert {answer.status for answer in answers} == {303}
    assert votes() == [100, 0]


async def test_a_vote_that_contradicts_the_counts_is_not_to_be_tried_again(
    client: TestClient, create_poll: CreatePoll, database: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    create_poll("Tea?", "Yes", "No")
    await vote(client, data={"choice": "1"})
    with database.cursor() as cursor:
        cursor.execute("UPDATE choice SET votes = 0")

    response = await vote(client, data={"choice": "2"})

    assert (response.status, "Retry-After" in response.headers) == (503, False)
    page = words(parse(await response.text()))
    assert "This poll can't take votes at the moment. Its owner has been told. Your vote was not counted." in page
    assert "Try again" not in page
    assert "polls verify --repair --poll 1" in caplog.text
    as_json = await vote(client, data={"choice": "2"}, headers={"Accept": "application/json"})
    assert (as_json.status, "Retry-After" in as_json.headers) == (503, False)
    assert "Traceback" not in caplog.text


async def test_a_vote_without_a_table_for_it_is_not_to_be_tried_again(
    client: TestClient, create_poll: CreatePoll, database: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    create_poll("Tea?", "Yes")
    with database.cursor() as cursor:
        cursor.execute("ALTER TABLE ballot RENAME TO mislaid")
        try:
            response = await vote(client, data={"choice": "1"})
        finally:
            cursor.execute("ALTER TABLE mislaid RENAME TO ballot")

    assert "This poll can't take votes at the moment." in words(parse(await response.text()))
    assert "votes can't be stored" in caplog.text
    assert (await vote(client, data={"choice": "1"})).status == 303


@pytest.mark.parametrize("disconnect", [socket.socket.close, lambda voter: voter.shutdown(socket.SHUT_WR)])
async def test_a_ballot_of_a_client_that_disconnected_is_not_counted(
    client: TestClient,
    create_poll: CreatePoll,
    votes: Votes,
    caplog: pytest.LogCaptureFixture,
    disconnect: Callable[[socket.socket], None],
) -> None:
    create_poll("Tea?", "Yes", "No")
    with caplog.at_level(logging.INFO, "aiohttp.access"), socket.socket() as voter:
        # All in one iteration of the event loop.
        voter.connect((client.host, client.port))
        voter.sendall(
            b"POST /poll/1/vote HTTP/1.1\r\nHost: polls\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 8\r\n\r\nchoice=1"
        )
        disconnect(voter)

        async with asyncio.timeout(10):
            while 'POST /poll/1/vote HTTP/1.1" 499' not in caplog.text:
                await asyncio.sleep(0.01)

    assert votes() == [0, 0]


NOTHING = "You didn't select a choice."
GONE = "That choice is no longer available."
SEVERAL = "You can select only one choice."


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ([], NOTHING),
        ([("choice", "")], NOTHING),
        ([("choice[]", "1")], NOTHING),
        ([("choice", "tea")], GONE),
        ([("choice", "999")], GONE),
        ([("choice", "3")], GONE),
        ([("choice", "-1")], GONE),
        ([("choice", "01")], GONE),
        ([("choice", "١")], GONE),
        ([("choice", " 1")], GONE),
        ([("choice", "1\0")], GONE),
        ([("choice", "9" * 22)], GONE),
        ([("choice", "1.0")], GONE),
        ([("choice", "1"), ("choice", "2")], SEVERAL),
        ([("choice", "1"), ("choice", "2"), ("choice", "1")], SEVERAL),
        ([("choice", str(number)) for number in range(1, 501)], SEVERAL),
    ],
)
async def test_without_a_choice_of_this_poll_the_form_says_why_and_nothing_is_counted(
    client: TestClient, create_poll: CreatePoll, votes: Votes, fields: list[tuple[str, str]], reason: str
) -> None:
    create_poll("Tea?", "Yes", "No")
    create_poll("Coffee?", "Yes")

    response = await vote(client, data=FormData(fields))

    page = parse(await response.text())
    (message,) = find(page, "p", id="error")
    assert response.status == 400
    assert [button.get("autofocus") is not None for button in page.iter("input")] == [True, False]
    assert words(message) == reason
    assert [words(label) for label in find(page, "label", class_="choice")] == ["Yes", "No"]
    assert votes() == [0, 0, 0]


async def test_a_file_instead_of_a_choice_is_no_choice(
    client: TestClient, create_poll: CreatePoll, votes: Votes
) -> None:
    create_poll("Tea?", "Yes")
    form = FormData()
    form.add_field("choice", b"1", filename="choice.txt")

    assert (await vote(client, data=form)).status == 400
    assert votes() == [0]


@pytest.mark.parametrize("fields", [{"choice": "1"}, {}])
@pytest.mark.parametrize("ago", [timedelta(hours=-1), timedelta(days=-400)])
async def test_a_poll_of_the_future_takes_no_votes(
    client: TestClient, create_poll: CreatePoll, votes: Votes, ago: timedelta, fields: dict[str, str]
) -> None:
    create_poll("Tea?", "Yes", ago=ago)

    assert (await vote(client, data=fields)).status == 404
    assert votes() == [0]


@pytest.mark.parametrize("fields", [{"choice": "1"}, {}])
async def test_an_unknown_poll_takes_no_votes(client: TestClient, fields: dict[str, str]) -> None:
    assert (await vote(client, 999, data=fields)).status == 404


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", b'{"choice": 1}', 400),
        ("application/x-www-form-urlencoded", b'{"choice": 1}', 400),
        ("text/plain", b"choice=1", 400),
        ("nonsense", b"choice=1", 400),
        ("multipart/form-data", b"choice=1", 400),
        ("multipart/form-data; boundary=x", b"choice=1", 400),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=choice\r\n\r\n1", 400),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\n\r\n--x--\r\n", 400),
        ("multipart/form-data; boundary=" + "x" * 100, b"--x", 400),
        ("application/x-www-form-urlencoded; charset=klingon", b"choice=1", 400),
        ("application/x-www-form-urlencoded; charset=utf-16", b"choice=1", 400),
        ("application/x-www-form-urlencoded; charset=rot13", b"choice=1", 400),
        ("application/x-www-form-urlencoded; charset=base64", b"choice=1", 400),
        ("application/x-www-form-urlencoded; charset=unicode_escape", rb"choice=\ud800", 400),
        ("application/x-www-form-urlencoded; charset=utf-7", b"choice=%2B2AA-", 400),
        ("application/x-www-form-urlencoded; charset=punycode", b"-" + b"b" * 15_000, 400),
        (
            "multipart/form-data; boundary=x",
            b"--x\r\nContent-Disposition: form-data; name=choice\r\nContent-Type: text/plain; charset=punycode\r\n\r\n-"
            + b"b" * 15_000
            + b"\r\n--x--\r\n",
            400,
        ),
        (
            "multipart/form-data; boundary=x",
            b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n" * 1100 + b"--x--",
            413,
        ),
        ("application/x-www-form-urlencoded", b"choice=\xff\xfe", 400),
        ("application/x-www-form-urlencoded", b"choice=%FF", 400),
        ("application/x-www-form-urlencoded", b"choice=1%00", 400),
        ("application/x-www-form-urlencoded", b"\0\0\0", 400),
        ("application/x-www-form-urlencoded", b"&".join(b"a%d=1" % n for n in range(2000)), 413),
        ("application/x-www-form-urlencoded", b"choice=1&padding=" + b"x" * 70_000, 413),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="choice"\r\n\r\n' + b"1" * 70_000 + b"\r\n--x--\r\n",
            413,
        ),
    ],
)
async def test_an_invalid_body_is_refused_and_nothing_is_counted(
    client: TestClient, create_poll: CreatePoll, votes: Votes, content_type: str, body: bytes, status: int
) -> None:
    create_poll("Tea?", "Yes", "No")

    response = await vote(client, data=body, headers={"Content-Type": content_type})

    assert response.status == status
    parse(await response.text())
    assert votes() == [0, 0]


async def test_a_chunked_form_that_arrives_with_its_headers_is_limited(
    client: TestClient, create_poll: CreatePoll, votes: Votes
) -> None:
    create_poll("Tea?", "Yes")
    body = b"choice=1&padding=" + b"x" * 20_000  # one read of the socket is more
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(
        b"POST /poll/1/vote HTTP/1.1\r\nHost: polls\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    )

    status = await reader.readline()

    writer.close()
    assert b" 413 " in status
    assert votes() == [0]


async def test_an_incomplete_ballot_is_not_counted(
    client: TestClient, create_poll: CreatePoll, votes: Votes, caplog: pytest.LogCaptureFixture
) -> None:
    create_poll("Tea?", "Yes")
    _, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(
        b"POST /poll/1/vote HTTP/1.1\r\nHost: polls\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: 20\r\n\r\nchoice=1"
    )
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    await asyncio.sleep(0.2)

    assert votes() == [0]
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []
    assert (await client.get("/")).status == 200


async def test_expect_100_continue_is_answered(client: TestClient, create_poll: CreatePoll, votes: Votes) -> None:
    create_poll("Tea?", "Yes")
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(
        b"POST /poll/1/vote HTTP/1.1\r\nHost: polls\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Expect: 100-continue\r\nContent-Length: 8\r\n\r\n"
    )
    async with asyncio.timeout(5):
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"choice=1")
        assert (await reader.readline()).split()[1] == b"303"
    writer.close()

    assert votes() == [1]
