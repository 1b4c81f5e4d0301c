"""The application as a whole: created, below a prefix, with other templates, and its logs."""

import json
import logging
import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from polls.app import create_app
from polls.config.settings import Config, Log, Postgres
from polls.server.logs import configure_logging
from polls.storage.postgres.connect import Connection, UnusableDatabase
from polls.web.http.access_log import AccessLogger
from tests.conftest import CreatePoll
from tests.support.pages import links, parse


def test_creating_the_application_opens_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", fail)

    assert isinstance(create_app(Config(postgres=Postgres(host="db.example.org"))), web.Application)


async def test_a_start_without_a_database_fails_and_leaves_nothing_open() -> None:
    runner = web.AppRunner(create_app(Config(postgres=Postgres(host="/nowhere"))))

    with pytest.raises(UnusableDatabase):
        await runner.setup()
    await runner.cleanup()


def mounted(config: Config) -> web.Application:
    """Return an application that has polls as a sub-application at /polls/."""
    outer = web.Application()
    outer.add_subapp("/polls/", create_app(config))
    return outer


def prefixed(config: Config) -> web.Application:
    """Return polls for a proxy that keeps /polls in the paths of requests."""
    return create_app(replace(config, prefix="/polls"))


@pytest.mark.parametrize("below_a_prefix", [mounted, prefixed])
async def test_it_works_below_a_prefix(
    config: Config, aiohttp_client: Any, create_poll: CreatePoll, below_a_prefix: Callable[[Config], web.Application]
) -> None:
    create_poll("Tea?", "Yes")
    client = await aiohttp_client(below_a_prefix(config))

    index = parse(await (await client.get("/polls/")).text())
    poll_response = await client.get("/polls/poll/1")
    poll = parse(await poll_response.text())
    vote = await client.post("/polls/poll/1/vote", data={"choice": "1"}, allow_redirects=False)
    missing = await client.get("/polls/nowhere")
    language = await client.get(links(index)["简体中文"], allow_redirects=False)

    urls = [
        *links(index).values(),
        *links(poll).values(),
        *(link.get("href", "") for link in index.iter("link")),
        *(form.get("action", "") for form in poll.iter("form")),
        vote.headers["Location"],
        language.headers["Location"],
    ]
    assert [url for url in urls if not url.startswith(("/polls/", "#"))] == []
    assert missing.status == 404
    assert links(parse(await missing.text()))["See the latest polls"] == "/polls/"
    assert language.cookies["polls_language"]["path"] == poll_response.cookies["polls_voter"]["path"] == "/polls/"
    assert (await client.post("/polls/poll/1/vote", data={"choice": "1" * 100_000})).status == 413
    for link in index.iter("link"):
        assert (await client.get(link.get("href", ""))).status == 200


async def test_a_prefix_without_its_trailing_slash_redirects_to_the_list(config: Config, aiohttp_client: Any) -> None:
    client = await aiohttp_client(prefixed(config))

    response = await client.get("/polls", allow_redirects=False)

    assert (response.status, response.headers["Location"]) == (308, "/polls/")


async def test_dates_are_in_utc_if_the_server_has_another_time_zone(
    config: Config, aiohttp_client: Any, database: Connection, create_poll: CreatePoll
) -> None:
    poll = create_poll("Tea?", "Yes")
    with database.cursor() as cursor:
        cursor.execute("ALTER ROLE polls SET TimeZone = 'Asia/Shanghai'")
        try:
            client = await aiohttp_client(create_app(config))
            page = await (await client.get("/")).text()
        finally:
            cursor.execute("ALTER ROLE polls RESET TimeZone")

    assert f'datetime="{poll.question.pub_date.isoformat(timespec="seconds")}"' in page


async def test_a_folder_of_templates_overrides_single_templates(
    config: Config, aiohttp_client: Any, tmp_path: Path, create_poll: CreatePoll
) -> None:
    create_poll("Tea?", "Yes")
    (tmp_path / "public").mkdir()
    (tmp_path / "public/index.html").write_text("{{ page.polls[0].question.text }} at {{ site.name }}")
    client = await aiohttp_client(create_app(replace(config, templates=tmp_path)))

    assert await (await client.get("/")).text() == "Tea? at Village hall"
    assert "<fieldset" in await (await client.get("/poll/1")).text()


async def test_pages_show_the_configured_site_name(client: TestClient) -> None:
    page = parse(await (await client.get("/")).text())

    assert "Village hall" in "".join(page.find("head/title").itertext())  # type: ignore[union-attr]
    assert "Village hall" in links(page)


async def test_the_access_log_has_no_query_no_cookie_and_no_client_address(
    config: Config, aiohttp_server: Any, caplog: pytest.LogCaptureFixture, create_poll: CreatePoll
) -> None:
    create_poll("Tea?", "Yes")
    caplog.set_level(logging.INFO, "aiohttp.access")
    server = await aiohttp_server(create_app(config), access_log_class=AccessLogger)
    async with TestClient(server) as client:
        await client.get("/poll/1?secret=1", headers={"Cookie": "polls_voter=secret"})
        await client.get("/%0Afake%20line")

    lines = [record.getMessage() for record in caplog.records if record.name == "aiohttp.access"]
    assert [line.split()[:3] for line in lines] == [["GET", "/poll/1", "200"], ["GET", "/%0Afake%20line", "404"]]
    assert "secret" not in "".join(lines)
    assert "127.0.0.1" not in "".join(lines)


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_logs_are_text_or_json(log_format: str, capfd: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        configure_logging(Log(level="warning", format=log_format))
        logging.getLogger("polls").info("below the level")
        logging.getLogger("polls").warning("喂 %s", 1, extra={"status": 200})
    finally:
        root.handlers, root.level = before

    line = capfd.readouterr().err.strip()
    if log_format == "text":
        assert line.endswith("WARNING polls: 喂 1")
    else:
        entry = json.loads(line)
        assert (entry["level"], entry["logger"], entry["message"], entry["status"]) == ("WARNING", "polls", "喂 1", 200)
        assert datetime.fromisoformat(entry["time"]).utcoffset() == timedelta(0)
