"""Each request has an id, which its answer, its error page and its lines in the log tell."""

import re
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from polls.app import create_app
from polls.config.settings import Config, Votes
from polls.storage import questions
from polls.storage.postgres.connect import Connection
from tests.conftest import Ask
from tests.support.pages import find, parse, words

ANN = {"Cookie": f"voter={'a' * 32}"}

ANSWERS: list[tuple[str, str, dict[str, Any], int]] = [
    ("GET", "/", {}, 200),
    ("GET", "/", {"headers": {"Connection": "close"}}, 200),
    ("HEAD", "/", {}, 200),
    ("GET", "/", {"headers": {"If-None-Match": "*"}}, 304),
    ("POST", "/poll/1/vote", {"data": {"choice": "1"}, "headers": ANN}, 303),
    ("POST", "/poll/1/vote", {"data": {}}, 400),
    ("GET", "/language/en", {}, 303),
    ("GET", "/static/css/base.css", {}, 200),
    ("GET", "/static/css/base.css", {"headers": {"If-Modified-Since": "Fri, 31 Dec 2100 00:00:00 GMT"}}, 304),
    ("GET", "/nowhere", {}, 404),
    ("DELETE", "/", {}, 405),
    ("GET", "/readyz", {}, 200),
    ("GET", "/poll/1/live", {}, 426),
]


def ids_of(response: Any) -> list[str]:
    return list(response.headers.getall("X-Request-ID"))


async def test_every_answer_tells_an_id_of_its_own(client: TestClient, ask: Ask) -> None:
    ask("Tea?", "Yes")

    told = []
    for method, address, fields, status in ANSWERS * 2:
        response = await client.request(method, address, allow_redirects=False, **fields)
        assert (address, response.status) == (address, status)
        told += ids_of(response)
    async with client.ws_connect("/poll/1/live") as socket:
        told += ids_of(socket._response)

    assert all(re.fullmatch("[0-9a-f]{16}", id_) for id_ in told)
    assert len(set(told)) == 2 * len(ANSWERS) + 1


async def test_no_two_of_very_many_are_the_same(client: TestClient) -> None:
    told = [(await client.get("/nowhere", headers={"Accept": "application/json"})).headers for _ in range(1100)]

    assert len({headers["X-Request-ID"] for headers in told}) == 1100


@pytest.mark.parametrize(
    ("address", "language", "sentence"),
    [
        ("/nowhere", "en", "If you contact support, include this ID:"),
        ("/nowhere", "zh", "如需求助，请提供此编号："),
        ("/", "en", "If you contact support, include this ID:"),
    ],
)
async def test_an_error_page_shows_it(
    config: Config,
    aiohttp_client: Any,
    monkeypatch: pytest.MonkeyPatch,
    address: str,
    language: str,
    sentence: str,
) -> None:
    async def latest(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(questions, "latest", latest)
    client = await aiohttp_client(create_app(config))

    response = await client.get(address, headers={"Accept-Language": language})

    (reference,) = find(parse(await response.text()), "p", class_="reference")
    assert words(reference) == f"{sentence} {response.headers['X-Request-ID']}"


async def test_who_is_told_that_a_vote_was_not_counted_can_name_it(
    config: Config, aiohttp_client: Any, ask: Ask, database: Connection
) -> None:
    client = await aiohttp_client(create_app(replace(config, votes=Votes(timeout=1))))
    ask("Tea?", "Yes")
    database.autocommit = False
    with database.cursor() as cursor:
        cursor.execute("SELECT FROM question FOR UPDATE")

    response = await client.post("/poll/1/vote", data={"choice": "1"})

    database.rollback()
    page = parse(await response.text())
    assert response.status == 503
    assert response.headers["X-Request-ID"] in words(page)
    assert find(page, "button")


async def test_a_broken_error_page_still_shows_it(config: Config, aiohttp_client: Any, tmp_path: Any) -> None:
    (tmp_path / "error.html").write_text("{{ nothing.of.the.kind }}")
    client = await aiohttp_client(create_app(replace(config, templates=tmp_path)))

    response = await client.get("/nowhere")

    assert response.headers["X-Request-ID"] in await response.text()


SANE = ["a", "A1_-z", "0" * 64]
INSANE = ["", "0" * 65, "a b", "a.b", "1;2", "<b>", "a\u00e9", "١", "%0A", '"']


async def test_the_id_that_a_trusted_proxy_gives_is_kept_where_it_is_sane(config: Config, aiohttp_client: Any) -> None:
    client = await aiohttp_client(create_app(replace(config, trusted_proxies=1)))

    for address in ("/", "/nowhere"):
        for given in SANE:
            response = await client.get(address, headers={"X-Request-ID": given})
            assert ids_of(response) == [given]
        for given in INSANE:
            response = await client.get(address, headers={"X-Request-ID": given})
            assert re.fullmatch("[0-9a-f]{16}", response.headers["X-Request-ID"]), given


async def test_nobody_else_gives_ids(client: TestClient) -> None:
    for given in SANE:
        response = await client.get("/", headers={"X-Request-ID": given})
        assert ids_of(response) != [given]


async def test_below_another_application_it_is_told_as_well(config: Config, aiohttp_client: Any) -> None:
    outer = web.Application()
    outer.add_subapp("/polls/", create_app(config))
    client = await aiohttp_client(outer)

    response = await client.get("/polls/nowhere")

    assert response.headers["X-Request-ID"] in await response.text()
