"""Every page is valid HTML, judged by the Nu Html Checker (vnu) of the W3C, and isolates the texts of users."""

import re
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import pytest
from multidict import MultiDict

from polls import paths
from polls.config.settings import Creating, Site, Votes
from polls.domain.access_keys import hash_of
from polls.domain.settings import PollSettings, Results
from polls.storage.postgres.connect import Connection
from tests.conftest import CreatePoll
from tests.support.pages import fields, parse
from tests.web.conftest import PASSWORD, Client, Serve, add_account

VNU = Path(sys.prefix, "node_modules/vnu-jar/build/dist/vnu.jar")  # `make programs` installs it
BASES = {
    "base.html",
    "admin/base.html",
    "manage/base.html",
    "unavailable.html",
}  # the last is rendered into static/unavailable/
TEXTS_OF_USERS = re.compile(r'"co"|Yes <b>|Sure|Later\?|Coffee\?|Juice\?|Never|\b(?:ada|bob)\b')
ADD, FIRST = "/admin/polls/add", "/admin/polls/1"
FORMS = {  # of PUBLIC_PAGES
    "manage/ask.html ready-made": {"do": "ready-made.agree", "text": 'Tea & "co"?'},
    "manage/ask.html refused": {"choice.0.text": "x" * 201, "site_password": '"rose"'},
    "manage/overview.html asked": {
        "text": 'Tea & "co"?',
        "choice.0.text": "Yes <b>",
        "choice.1.text": "No",
        "site_password": '"tulip"',
    },
}
PUBLIC_PAGES = {
    "public/index.html": "/",
    "public/index.html second page": "/?page=2",
    "public/poll.html": "/poll/2",
    "public/poll.html closed": "/poll/8",
    "public/results.html edited": "/poll/2/results",
    "public/presenter.html": "/poll/2/present",
    "public/share.html": "/poll/2/share",
    "public/share.html closed": "/poll/8/share",
    "public/site_text.html": "/privacy",
    "public/site_text.html of HTML": "/imprint",
    "public/presenter.html closed": "/poll/8/present",
    "public/poll.html with hidden results": "/poll/14",
    "public/results.html hidden": "/poll/14/results",
    "public/presenter.html hidden": "/poll/14/present",
    "error.html": "/poll/99",
    "error.html below a poll": "/poll/2/nowhere",
    "error.html in the admin": "/admin/nowhere",
    "manage/ask.html": "/ask",
    "manage/ask.html ready-made": "/ask",
    "manage/ask.html refused": "/ask",
    "manage/overview.html asked": "/ask",
    "manage/ask.html with polls": "/ask",
}
HIDDEN = PollSettings(results=Results.AFTER_CLOSE, results_from=5, is_sealed=True)
OWN, KEY = "k7m2q9xdtb", "0123456789abcdefghjkmnpqrs"
METHODS = {  # {id of a poll: its settings, and the fields of a ballot}
    10: (PollSettings(method="multiple", most_marks=None), {"choice": "17"}),
    11: (PollSettings(method="score", most_marks=None, most_points=2, lowest_label="Never"), {"points.19": "2"}),
    12: (PollSettings(method="dots", most_marks=None, most_points=2, budget=2), {"points.21": "2"}),
}


@pytest.fixture
async def browser(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Client:
    """A browser at a site with texts of its own, in a time zone whose offset had seconds once."""
    privacy, imprint = (tmp_path_factory.mktemp("texts") / name for name in ("privacy.txt", "imprint.html"))
    privacy.write_text("Nothing is stored.\n\nSee https://example.org/?a&b.", "utf-8")
    imprint.write_text("<p>Village &amp; hall</p><h2>Address</h2>", "utf-8")
    site = Site(name="Village & hall", time_zone="Europe/Berlin", privacy=privacy, imprint=imprint)
    creating = Creating(who="password", password='"tulip"')
    return await serve(site=site, votes=Votes(rate_limit=1), creating=creating)


async def form_of(browser: Client, url: str) -> MultiDict[str]:
    return fields(parse(await (await browser.get(url)).text()), url)


def create_polls(database: Connection, create_poll: CreatePoll) -> None:
    for number in range(7):
        create_poll(f'Tea & "co" {number}?', "Yes <b>", "No", votes=(2, 1))
    create_poll("Old?", "Yes", closed=timedelta(0))
    create_poll("Later?", "Yes", ago=timedelta(days=-3))
    for settings, _ in METHODS.values():
        create_poll("Sure?", "Yes <b>", "No", settings=settings)
    create_poll("Juice?", "Yes <b>", "No", votes=(2, 1), slug=OWN)
    create_poll("Sure?", "Yes <b>", "No", settings=HIDDEN)
    with database.cursor() as cursor:
        cursor.execute("INSERT INTO poll_settings (question_id, owner_hash) VALUES (13, %s)", (hash_of(KEY),))
        cursor.execute("UPDATE question SET pub_date = '1492-05-03 18:00:00.123456+00' WHERE id = 1")
        cursor.execute("UPDATE question SET closes_at = '2099-05-03 18:00:00.123456+00' WHERE id = 2")
        cursor.execute("UPDATE choice SET choice_text = 'Sure' WHERE id = 3")


async def pages_of_the_site(browser: Client, database: Connection, create_poll: CreatePoll) -> dict[str, str]:
    """Return {template and what it shows: page}."""
    pages = {}

    async def keep(name: str, url: str, sent: Any = None, **headers: str) -> None:
        method = "GET" if sent is None else "POST"
        response = await browser.request(method, url, data=sent, headers=headers)
        pages[name] = await response.text()

    await keep("admin/sign_in.html without accounts", "/admin/login")
    await keep("public/index.html without polls", "/")
    await add_account(browser, "ada")
    await add_account(browser, "bob")
    create_polls(database, create_poll)
    for name, url in PUBLIC_PAGES.items():
        await keep(name, url, FORMS.get(name))
    await keep("public/poll.html refused", "/poll/2/vote", {})
    await keep("public/results.html voted", "/poll/2/vote", {"choice": "3"})
    for poll_id, (settings, ballot) in METHODS.items():
        await keep(f"public/poll.html by {settings.method} refused", f"/poll/{poll_id}/vote", {})
        await keep(f"public/results.html by {settings.method}", f"/poll/{poll_id}/vote", ballot)
    await keep("public/ballot.html", "/poll/14/vote", {"choice": "25"})
    await keep_pages_of_the_owner(browser, keep)
    browser.session.cookie_jar.clear()  # another voter, beyond the rate limit
    await keep("public/not_counted.html", "/poll/99/vote", {"choice": "1"})
    await keep("admin/sign_in.html refused", "/admin/login?next=/admin/", {"username": "ada", "password": "x"})
    await browser.post("/admin/login", data={"username": "ada", "password": PASSWORD})
    await keep("public/index.html signed in", "/?state=closed")
    await keep("public/results.html signed in", "/poll/2/results")
    await keep("public/poll.html preview", "/poll/9")
    await keep("admin/poll_list.html", "/admin/?sort=text,-ballots&in=2026")
    await keep("admin/poll_list.html empty", "/admin/?q=nothing")
    with database.cursor() as cursor:
        cursor.execute(
            "INSERT INTO question (question_text, pub_date) "
            "SELECT 'Many?', now() - interval '9 years' FROM generate_series(1, 101)"
        )
    await keep("admin/poll_list.html with two pages", "/admin/?q=many&page=2")
    await keep("admin/confirm.html of all that match", "/admin/polls/selected", {"do": "clear", "matching": "q=many"})
    await keep("admin/confirm.html", "/admin/polls/selected", {"do": "delete", "poll": "1"})
    await keep("admin/confirm.html one", f"{FIRST}/delete")
    await keep("admin/users.html", "/admin/users/")
    await keep("admin/users.html refused", "/admin/users/", {"username": "a b", "password": "x", "again": "y"})
    await keep("admin/account.html refused", "/admin/account", {"current": "x", "password": "x", "again": "y"})
    await keep("manage/poll_form.html new", ADD)
    await keep(
        "manage/poll_form.html refused", ADD, {"text": "", "choice.0.text": "x" * 201, "closes_date": "2099-01-01"}
    )
    form = await form_of(browser, FIRST)
    await keep("manage/poll_form.html with votes", FIRST, {**form, "choice.0.remove": "yes"})
    await keep("admin/poll_list.html with flash", FIRST, {**form, "text": "Coffee?", "published_date": "2026-05-03"})
    await keep("manage/poll_form.html in conflict", FIRST, {**form, "text": "Juice?", "choice.0.text": "Never"})
    again = {"text": "Which?", "published_date": "2025-10-26", "published_time": "02:30", "closes_date": "2025-10-27"}
    await keep("manage/poll_form.html with a time that comes twice", ADD, {**await form_of(browser, ADD), **again})
    await keep("manage/poll_form.html sealed", "/admin/polls/14")
    await keep("admin/history.html", "/admin/history?mine=yes")
    await keep("admin/history.html of a poll", f"{FIRST}/history")
    browser.session.cookie_jar.clear()
    await keep("admin/sign_in.html again", ADD, {"text": '"Tea"?', "do": "save"})
    return pages


async def keep_pages_of_the_owner(browser: Client, keep: Callable[..., Awaitable[None]]) -> None:
    edit = f"/poll/{OWN}/edit"
    await keep("manage/not_saved.html", edit, {"text": 'Tea & "co"?', "choice.0.text": "<b>"})
    await keep("manage/overview.html", f"/poll/{OWN}/as/{KEY}")
    form = await form_of(browser, edit)
    await keep("manage/edit.html", edit)
    await keep("manage/overview.html saved", edit, {**form, "text": "Coffee?"})
    await keep("manage/edit.html in conflict", edit, {**form, "text": "Sure?"})
    await keep("admin/confirm.html of the owner", f"/poll/{OWN}/clear")
    await keep("manage/new_link.html", f"/poll/{OWN}/new-link")
    await keep("manage/overview.html with a new link", f"/poll/{OWN}/new-link", {})
    await keep("manage/deleted.html", f"/poll/{OWN}/delete", {})
    await keep("error.html after the poll was deleted", f"/poll/{OWN}/manage")


def not_isolated(element: Element) -> list[str]:
    """Return the texts of users in `element` that could change the order of the text beside them."""
    if element.tag in {"title", "bdi", "option"} or element.get("dir") == "auto":
        return []
    texts = [element.text, *(child.tail for child in element)]
    found = [text.strip() for text in texts if text and TEXTS_OF_USERS.search(text)]
    return found + [text for child in element for text in not_isolated(child)]


def errors(folder: Path) -> list[str]:
    """Return the errors of vnu about the pages in `folder`."""
    vnu = ["java", "-jar", VNU, "--errors-only", "--format", "gnu", "--exit-zero-always", folder]
    return subprocess.run(vnu, capture_output=True, text=True, check=True).stderr.splitlines()


@pytest.mark.skipif(
    not shutil.which("java") or not VNU.exists(), reason="vnu needs a Java runtime and npm's package vnu-jar"
)
async def test_every_page_is_valid(
    browser: Client, database: Connection, create_poll: CreatePoll, tmp_path: Path
) -> None:
    pages = await pages_of_the_site(browser, database, create_poll)
    for name, page in pages.items():
        (tmp_path / f"{name.replace('/', ' ')}.html").write_text(page, "utf-8")
    for page in (paths.STATIC / "unavailable").iterdir():
        shutil.copy(page, tmp_path)

    assert errors(tmp_path) == []

    templates = {file.relative_to(paths.TEMPLATES).as_posix() for file in paths.TEMPLATES.rglob("[!_]*.html")}
    templates = {name for name in templates if not name.startswith("methods/")}  # parts of pages
    assert templates - BASES == {name.split(" ")[0] for name in pages}


async def test_texts_of_users_have_a_direction_of_their_own(
    browser: Client, database: Connection, create_poll: CreatePoll
) -> None:
    pages = await pages_of_the_site(browser, database, create_poll)

    assert {text: name for name, page in pages.items() for text in not_isolated(parse(page))} == {}
