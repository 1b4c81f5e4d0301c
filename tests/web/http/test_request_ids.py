"""Request ids: in each response and on error pages, new or a trusted proxy's."""

import re
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from polls.app import create_app
from polls.config.settings import Config, Votes
from polls.storage import poll_list
from polls.storage.postgres.connect import Connection
from tests.conftest import CreatePoll
from tests.support.pages import find, parse, words

ANN = {"Cookie": f"polls_voter={'a' * 32}"}
HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}

REQUESTS: list[tuple[str, str, dict[str, Any], int]] = [
    ("GET", "/", {}, 200),
    ("GET", "/", {"headers": {"Connection": "close"}}, 200),
    ("HEAD", "/", {}, 200),
    ("GET", "/", {"headers": {"If-None-Match": "*"}}, 304),
    ("POST", "/poll/1/vote", {"data": {"choice": "1"}, "headers": ANN}, 303),
    ("POST", "/poll/1/vote", {"data": {}}, 400),
    ("GET", "/language/en", {}, 303),
    ("GET", "/static/css/public.css", {}, 200),
    ("GET", "/static/css/public.css", {"headers": {"If-None-Match": "*"}}, 304),
    ("GET", "/nowhere", {}, 404),
    ("DELETE", "/", {}, 405),
    ("GET", "/readyz", {}, 200),
    ("GET", "/poll/1/live", {}, 426),
]


def ids_of(response: Any) -> list[str]:
    return list(response.headers.getall("X-Request-ID"))


async def test_every_response_has_its_own_id(client: TestClient, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes")

    ids = []
    for method, path, fields, status in REQUESTS * 2:
        response = await client.request(method, path, allow_redirects=False, **fields)
        assert (path, response.status) == (path, status)
        ids += ids_of(response)
    websocket = await client.get("/poll/1/live", headers=HANDSHAKE)
    assert websocket.status == 101
    ids += ids_of(websocket)
    websocket.close()

    assert all(re.fullmatch("[0-9a-f]{16}", id_) for id_ in ids)
    assert len(set(ids)) == 2 * len(REQUESTS) + 1


async def test_ids_are_unique(client: TestClient) -> None:
    responses = [await client.get("/nowhere", headers={"Accept": "application/json"}) for _ in range(1100)]

    assert len({response.headers["X-Request-ID"] for response in responses}) == 1100


@pytest.mark.parametrize(
    ("path", "language", "sentence"),
    [
        ("/nowhere", "en", "If you contact support, include this ID:"),
        ("/nowhere", "zh", "如需求助，请提供此编号："),
        ("/", "en", "If you contact support, include this ID:"),
    ],
)
async def test_an_error_page_shows_the_id(
    config: Config,
    aiohttp_client: Any,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    language: str,
    sentence: str,
) -> None:
    async def read(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(poll_list, "read", read)
    client = await aiohttp_client(create_app(config))

    response = await client.get(path, headers={"Accept-Language": language})

    (reference,) = find(parse(await response.text()), "p", class_="reference")
    assert words(reference) == f"{sentence} {response.headers['X-Request-ID']}"


async def test_the_page_for_a_vote_that_was_not_counted_shows_the_id(
    config: Config, aiohttp_client: Any, create_poll: CreatePoll, database: Connection
) -> None:
    client = await aiohttp_client(create_app(replace(config, votes=Votes(timeout=1))))
    create_poll("Tea?", "Yes")
    database.autocommit = False
    with database.cursor() as cursor:
        cursor.execute("SELECT FROM question FOR UPDATE")

    response = await client.post("/poll/1/vote", data={"choice": "1"})

    database.rollback()
    page = parse(await response.text())
    assert response.status == 503
    assert response.headers["X-Request-ID"] in words(page)
    assert find(page, "button")


async def test_a_broken_error_template_still_shows_the_id(config: Config, aiohttp_client: Any, tmp_path: Any) -> None:
    (tmp_path / "error.html").write_text("{{ nothing.of.the.kind }}")
    client = await aiohttp_client(create_app(replace(config, templates=tmp_path)))

    response = await client.get("/nowhere")

    assert response.headers["X-Request-ID"] in await response.text()


VALID = ["a", "A1_-z", "0" * 64]
INVALID = ["", "0" * 65, "a b", "a.b", "1;2", "<b>", "a\u00e9", "١", "%0A", '"']


async def test_a_valid_id_of_a_trusted_proxy_is_kept(config: Config, aiohttp_client: Any) -> None:
    client = await aiohttp_client(create_app(replace(config, trusted_proxies=1)))

    for path in ("/", "/nowhere"):
        for sent in VALID:
            response = await client.get(path, headers={"X-Request-ID": sent})
            assert ids_of(response) == [sent]
        for sent in INVALID:
            response = await client.get(path, headers={"X-Request-ID": sent})
            assert re.fullmatch("[0-9a-f]{16}", response.headers["X-Request-ID"]), sent


async def test_an_id_is_ignored_without_a_trusted_proxy(client: TestClient) -> None:
    for sent in VALID:
        response = await client.get("/", headers={"X-Request-ID": sent})
        assert ids_of(response) != [sent]


async def test_error_pages_of_a_sub_application_show_the_id(config: Config, aiohttp_client: Any) -> None:
    outer = web.Application()
    outer.add_subapp("/polls/", create_app(config))
    client = await aiohttp_client(outer)

    response = await client.get("/polls/nowhere")

    assert response.headers["X-Request-ID"] in await response.text()
