"""The admin as a whole: its title, links, language, prefix, and templates that an operator replaces."""

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from yarl import URL

from polls.app import create_app
from polls.config.settings import Config, Site
from polls.domain.permissions import COMMAND_LINE
from polls.storage import accounts
from polls.storage.passwords import Passwords
from polls.web.keys import DATABASE, PASSWORDS
from tests.conftest import CreatePoll
from tests.support.pages import fields, find, links, parse, words
from tests.web.conftest import CHEAP, PASSWORD, Client, Serve


@pytest.mark.parametrize(
    ("site", "header"),
    [
        (Site(name="Village hall"), "Village hall: administration"),
        (Site(name="Village hall", admin_title="Behind the counter"), "Behind the counter"),
    ],
)
async def test_the_admin_has_the_configured_title(serve: Serve, site: Site, header: str) -> None:
    client = await serve(site=site)

    page = parse(await (await client.get("/admin/login")).text())

    assert words(find(page, "a", class_="brand")[0]) == header
    assert page.findtext(".//title") == f"Sign in · {header}"
    assert links(page)["View site"] == "/"


async def test_a_template_of_the_admin_can_be_replaced(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "admin").mkdir()
    (tmp_path / "admin/sign_in.html").write_text(
        '{% extends "admin/base.html" %}{% block title %}Hello{% endblock %}'
        "{% block content %}<h1>Hello!</h1>{% endblock %}"
    )
    client = await serve(templates=tmp_path)

    page = parse(await (await client.get("/admin/login")).text())

    assert words(find(page, "h1")[0]) == "Hello!"
    assert "View site" in links(page)


async def test_the_form_links_to_the_pages_of_its_poll(ada: Client, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes")

    page = links(parse(await (await ada.get("/admin/polls/1")).text()))

    assert (page["View on site"], page["Delete"]) == ("/poll/1", "/admin/polls/1/delete?back=/admin/")


async def test_no_title_says_the_same_twice(serve: Serve, ada: Client) -> None:  # noqa: ARG001 - an account
    polls = await serve(site=Site(name="Polls"))
    await polls.post("/admin/login", data={"username": "ada", "password": PASSWORD})

    titles = [
        parse(await (await polls.get(url)).text()).findtext(".//title")
        for url in ("/", "/admin/", "/admin/users/", "/admin/history")
    ]

    assert [title.split(" · ")[0] for title in titles if title] == ["Latest polls", "All polls", "Users", "History"]


async def test_the_admin_is_translated_into_chinese(ada: Client) -> None:
    page = parse(await (await ada.get("/admin/", headers={"Accept-Language": "zh-CN"})).text())

    assert words(find(page, "h1")[0]) == "投票"


async def test_the_admin_works_below_a_prefix(config: Config, aiohttp_client: Any, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes")
    app, parent = create_app(config), web.Application()
    app[PASSWORDS] = Passwords(CHEAP)
    parent.add_subapp("/village/", app)
    client: Client = await aiohttp_client(parent)
    await accounts.add(app[DATABASE], COMMAND_LINE, "ada", await app[PASSWORDS].hash(PASSWORD, "ada"))

    response = await client.get("/village/admin/users/")
    assert response.url.path == "/village/admin/login"
    sent = {**fields(parse(await response.text()), "/village/admin/login"), "username": "ada", "password": PASSWORD}
    response = await client.post("/village/admin/login", data=sent)
    assert response.url.path == "/village/admin/users/"

    listed = await client.get("/village/admin/")
    url = listed.url.join(URL(links(parse(await listed.text()))["Tea?"])).path
    assert url == "/village/admin/polls/1"
    form = fields(parse(await (await client.get(url)).text()), url)
    response = await client.post(url, data={**form, "text": "Coffee?"})

    page = parse(await response.text())
    assert response.url.path == "/village/admin/"
    assert links(page)["View on site"] == "/village/poll/1"
    assert links(page)["Coffee?"] == "polls/1"
