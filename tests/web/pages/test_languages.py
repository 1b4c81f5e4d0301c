import gettext
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element
from zoneinfo import ZoneInfo

import pytest
from aiohttp.test_utils import TestClient
from babel import Locale
from babel.messages.catalog import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.pofile import read_po
from multidict import CIMultiDict
from yarl import URL

from polls import paths
from polls.app import create_app
from polls.config.settings import Config, Creating, Site
from polls.domain.access_keys import hash_of
from polls.domain.errors import PollsUnavailable
from polls.domain.settings import PollSettings, Results
from polls.live.poll_cache import PollCache
from polls.storage.passwords import Passwords
from polls.storage.postgres.connect import Connection
from polls.web.keys import PASSWORDS
from polls.web.pages.languages import LANGUAGES, TRANSLATIONS, Language, load_languages, negotiate
from tests.conftest import CreatePoll
from tests.support.pages import fields, links, parse, words
from tests.web.conftest import CHEAP, PASSWORD, add_account


@pytest.mark.parametrize(
    ("accept", "tag"),
    [
        ("", "en"),
        ("*", "en"),
        ("de", "en"),
        ("en-GB,en;q=0.9", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-Hans"),
        ("zh", "zh-Hans"),
        ("zh-Hans-SG", "zh-Hans"),
        ("zh-SG", "zh-Hans"),
        ("zh-TW,zh;q=0.9,en;q=0.8", "zh-Hans"),
        ("zh-TW, en;q=0.9", "en"),
        ("zh-Hant, en;q=0.9, zh;q=0.1", "en"),
        ("x-klingon", "en"),
        ("-", "en"),
        ("ZH-hans", "zh-Hans"),
        ("en;q=0.5, zh;q=0.6", "zh-Hans"),
        ("de, zh;q=0.2, en;q=0.1", "zh-Hans"),
        ("zh;q=0, en", "en"),
        ("zh;q=nonsense, en;q=0.1", "en"),
        ("zh;q=7", "en"),
        (",;=", "en"),
    ],
)
def test_the_language_is_the_best_match_for_accept_language(accept: str, tag: str) -> None:
    assert negotiate(None, accept, load_languages()).tag == tag


def test_the_chosen_language_takes_precedence_over_accept_language() -> None:
    assert negotiate("zh-Hans", "en", load_languages()).tag == "zh-Hans"


def test_an_unknown_chosen_language_is_ignored() -> None:
    assert negotiate("klingon", "zh", load_languages()).tag == "zh-Hans"


async def test_a_page_declares_its_language_and_the_headers_that_it_depends_on(
    client: TestClient, create_poll: CreatePoll
) -> None:
    create_poll("Tea?", "Yes", votes=(2,))

    response = await client.get("/poll/1/results", headers={"Accept-Language": "zh-CN"})

    page = parse(await response.text())
    assert page.get("lang") == response.headers["Content-Language"] == "zh-Hans"
    assert response.headers["Vary"] == "Accept-Encoding, Accept-Language, Cookie"
    assert "共 2 票" in words(page)


@pytest.mark.parametrize(("accept", "pattern"), [("en", r"\d+ [A-Z][a-z]+ \d+"), ("zh", r"\d+年\d+月\d+日")])
async def test_dates_have_the_format_of_the_language(
    client: TestClient, create_poll: CreatePoll, accept: str, pattern: str
) -> None:
    create_poll("Tea?", "Yes")

    page = parse(await (await client.get("/", headers={"Accept-Language": accept})).text())

    (date,) = page.iter("time")
    assert re.fullmatch(pattern, words(date))


async def test_a_link_in_the_footer_changes_the_language_and_returns_to_the_page(
    client: TestClient, create_poll: CreatePoll
) -> None:
    create_poll("Tea?", "Yes")
    for number in range(6):
        create_poll(f"{number}?", "Yes")
    link = links(parse(await (await client.get("/?page=2&from=a")).text()))["简体中文"]

    answer = await client.get(link, allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (303, "/?page=2")

    chosen = parse(await (await client.get("/", headers={"Accept-Language": "en"})).text())
    assert chosen.get("lang") == "zh-Hans"
    await client.get(links(chosen)["English"])
    assert parse(await (await client.get("/", headers={"Accept-Language": "zh"})).text()).get("lang") == "en"


async def test_the_language_cookie_lasts_a_year_and_is_same_site(client: TestClient) -> None:
    answer = await client.get("/language/zh-Hans", allow_redirects=False)

    cookie = answer.cookies["polls_language"]
    assert (cookie["max-age"], cookie["path"], cookie["samesite"], cookie["httponly"]) == (
        str(365 * 24 * 60 * 60),
        "/",
        "Lax",
        True,
    )


async def test_after_a_refused_ballot_the_language_link_leads_to_the_poll(
    client: TestClient, create_poll: CreatePoll
) -> None:
    create_poll("Tea?", "Yes")

    page = parse(await (await client.post("/poll/1/vote")).text())

    assert links(page)["简体中文"] == "/language/zh-Hans?next=/poll/1"


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "evil.example",
        "javascript:alert(1)",
        "/\r\nSet-Cookie: a=b",
        "/\t/evil.example",
        "",
        "/投票",
    ],
)
async def test_the_language_link_redirects_to_local_paths_only(client: TestClient, address: str) -> None:
    answer = await client.get(URL("/language/en").with_query(next=address), allow_redirects=False)

    assert answer.headers["Location"] == "/"
    assert set(answer.cookies) == {"polls_language"}


async def test_an_unknown_language_is_not_found(client: TestClient) -> None:
    assert (await client.get("/language/klingon")).status == 404


def catalogue(tag: str) -> Catalog:
    with (paths.LOCALE / tag.replace("-", "_") / "LC_MESSAGES/polls.po").open("rb") as file:
        return read_po(file)


@pytest.mark.parametrize("tag", list(LANGUAGES)[1:])
def test_the_catalogue_has_exactly_the_messages_of_the_code(tag: str) -> None:
    trimmed = {"trim_blocks": "true", "lstrip_blocks": "true"}
    keywords = {**DEFAULT_KEYWORDS, "plural_forms": (1, 2)}
    in_templates = extract_from_dir(paths.TEMPLATES, [("**.html", "jinja2")], {"**.html": trimmed}, keywords)
    in_code = extract_from_dir(paths.LOCALE.parent, [("**.py", "python")])
    found = {message for _, _, message, _, _ in [*in_templates, *in_code]}

    translated = {message.id: message.string for message in catalogue(tag) if message.id}

    assert set(translated) == found
    assert [source for source, translation in translated.items() if not all(as_tuple(translation))] == []


@pytest.mark.parametrize("tag", list(LANGUAGES)[1:])
def test_translations_keep_the_placeholders(tag: str) -> None:
    for message in catalogue(tag):
        placeholders = set(re.findall(r"%\(\w+\)s", str(message.id)))
        for translation in as_tuple(message.string) if message.id else ():
            assert set(re.findall(r"%\(\w+\)s", translation)) == placeholders, message.id


def as_tuple(text: str | tuple[str, ...] | list[str]) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text)


class Marked(gettext.NullTranslations):
    """A pseudo-language for tests, in which each message is enclosed in marks."""

    def gettext(self, message: str) -> str:
        return f"⟦{message}⟧"

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return f"⟦{msgid1 if n == 1 else msgid2}⟧"


SHOWN_ATTRIBUTES = {"alt", "aria-label", "placeholder", "title", "value", "content"}


def shown(element: Element) -> Iterator[str]:
    """Yield the texts of an element and its descendants that are displayed or read out."""
    if element.tag in {"time", "style", "script", "kbd", "code", "bdi"} or element.get("lang") in LANGUAGES:
        return
    if element.get("class") in {"poll-url", "share-url"}:  # a URL
        return
    if element.tag != "meta":
        has_hidden_value = element.tag in {"button", "option"} or element.get("type") in {"hidden", "checkbox", "radio"}
        names = SHOWN_ATTRIBUTES - {"value"} if has_hidden_value else SHOWN_ATTRIBUTES
        yield from (value for name, value in element.attrib.items() if name in names)
    yield element.text or ""
    for child in element:
        yield from shown(child)
        yield child.tail or ""


PAGES = {
    "/": ("GET", 200),
    "/?page=2": ("GET", 200),
    "/poll/1": ("GET", 200),
    "/poll/1/results": ("GET", 200),
    "/poll/1/present": ("GET", 200),
    "/poll/1/share": ("GET", 200),
    "/poll/8": ("GET", 200),
    "/poll/8/results": ("GET", 200),
    "/poll/8/ballot": ("GET", 200),
    "/privacy": ("GET", 200),
    "/imprint": ("GET", 200),
    "/poll/1/vote": ("POST", 400),
    "/poll/1/live": ("GET", 426),
    "/poll/999": ("GET", 404),
    "/nowhere": ("GET", 404),
    "/static/css": ("GET", 404),
    "/poll/2/vote": ("PUT", 405),
    "/poll/1/nowhere": ("GET", 404),
    "/admin/nowhere": ("GET", 404),
}


async def check_pseudo(client: TestClient, method: str, address: str, status: int, **fields: Any) -> None:
    page = await client.request(method, address, **fields)
    assert page.status == status
    check_text("\n".join(shown(parse(await page.text()))), address)
    if status >= 400:
        accept = {"Accept": "application/json", **fields.pop("headers", {})}
        problem = await (await client.request(method, address, headers=accept, **fields)).json(content_type=None)
        check_text(problem["title"], address)
        check_text(problem["detail"], address)


def check_text(text: str, address: str) -> None:
    bare = text
    while "⟦" in bare:  # messages contain others
        bare = re.sub(r"⟦[^⟦⟧]*⟧", "", bare)
    assert not re.search(r"[^\W\d_]", bare), f"untranslatable text at {address}: {bare!r}"


CREATING = Creating(who="password", password="4711", per_hour=1, refused_words=("12",))


@pytest.fixture
async def pseudo(config: Config, aiohttp_client: Any, tmp_path: Path) -> TestClient[Any, Any]:
    """A client of polls in the pseudo-language. The data of the tests has no letters."""
    text = tmp_path / "text"
    text.write_text("4711", "utf-8")
    app = create_app(replace(config, site=Site(name="4711", privacy=text, imprint=text), creating=CREATING))
    app[PASSWORDS] = Passwords(CHEAP)
    app[TRANSLATIONS] = {"x-marked": Language("x-marked", "×", Locale.parse("en"), Marked())}
    return await aiohttp_client(app)


@pytest.mark.parametrize(("address", "expected"), PAGES.items())
async def test_no_public_page_has_an_untranslatable_text(
    pseudo: TestClient, create_poll: CreatePoll, address: str, expected: tuple[str, int]
) -> None:
    for number in range(7):
        create_poll(f"{number}?", "1", "2", votes=(1, 2), ago=timedelta(hours=number))
    create_poll("7?", "1", "2", settings=PollSettings(results=Results.AFTER_CLOSE, results_from=5, is_sealed=True))

    await check_pseudo(pseudo, expected[0], address, expected[1])


ADMIN_PAGES = [
    "/admin/",
    "/admin/?q=1&state=open&date=year&sort=state,-ballots,text",
    "/admin/?q=0123456789",
    "/admin/polls/add",
    "/admin/polls/1",
    "/admin/polls/1/delete",
    "/admin/polls/1/history",
    "/admin/polls/2/history",
    "/admin/history",
    "/admin/users/",
    "/admin/account",
    "/poll/3",
    "/poll/4",
]
ADMIN_FORMS: list[tuple[str, dict[str, str], int]] = [
    ("/admin/polls/add", {"choice.0.text": "\0", "choice.1.text": "1" * 201, "choice.2.position": "x"}, 400),
    ("/admin/polls/add", {"text": "1", "published_date": "1", "published_time": "1", "closes_date": "1"}, 400),
    ("/admin/polls/1", {"text": "1", "published_date": "2026-05-03", "published_time": "18:00"}, 409),
    ("/admin/polls/selected", {"do": "clear", "poll": "1"}, 200),
    ("/admin/polls/selected", {"do": "close", "poll": "1"}, 200),
    ("/admin/users/", {"username": "1 1", "password": "47114711x", "again": "47114711x"}, 400),
    ("/admin/users/", {"username": "1", "password": "1", "again": "1"}, 400),
    ("/admin/users/", {"username": "1", "password": "1", "again": "2"}, 400),
    ("/admin/users/1", {"do": "disable"}, 409),
    ("/admin/account", {"current": "1", "password": "1", "again": "1"}, 400),
    ("/admin/login", {"username": "1", "password": "1"}, 400),
]


@pytest.fixture
async def pseudo_admin(pseudo: TestClient, create_poll: CreatePoll) -> TestClient[Any, Any]:
    """The client after signing in, with several polls and their history."""
    await check_pseudo(pseudo, "GET", "/admin/login", 200)
    await add_account(pseudo, "4711")
    await pseudo.post("/admin/login", data={"username": "4711", "password": PASSWORD})
    create_poll("1?", "1", "2", votes=(1, 2))
    create_poll("2?", "1", "2")
    create_poll("3?", "1", "2", ago=-timedelta(days=1))
    create_poll("4?")
    form = fields(parse(await (await pseudo.get("/admin/polls/1")).text()), "/admin/polls/1")
    more = {
        "text": "5?",
        "choice.0.text": "3",
        "choice.0.position": "3",
        "choice.3.text": "4",
        "closes_date": "2099-01-01",
    }
    await pseudo.post("/admin/polls/1", data={**form, **more, "closes_time": "12:00"})
    await pseudo.post("/admin/polls/2/delete")
    return pseudo


async def test_no_admin_page_has_an_untranslatable_text(pseudo_admin: TestClient) -> None:
    for address in ADMIN_PAGES:
        await check_pseudo(pseudo_admin, "GET", address, 200)
    for address, sent, status in ADMIN_FORMS:
        page = await pseudo_admin.post(address, data=sent)
        assert page.status == status, address
        check_text("\n".join(shown(parse(await page.text()))), address)


async def test_no_page_of_an_owner_has_an_untranslatable_text(
    pseudo: TestClient, create_poll: CreatePoll, database: Connection
) -> None:
    create_poll("1?", "1", "2", votes=(1, 2))
    with database.cursor() as cursor:
        cursor.execute("INSERT INTO poll_settings (question_id, owner_hash) VALUES (1, %s)", (hash_of("1" * 26),))
    await check_pseudo(pseudo, "GET", "/poll/1/manage", 403)
    await check_pseudo(pseudo, "GET", "/poll/1/as/2", 404)
    await check_pseudo(pseudo, "POST", "/poll/1/edit", 403)

    for page in (f"as/{'1' * 26}", "edit", "new-link", "close", "reopen", "clear", "delete"):
        await check_pseudo(pseudo, "GET", f"/poll/1/{page}", 200)
    for page in ("close", "close", "reopen", "reopen", "clear", "clear", "new-link"):
        await check_pseudo(pseudo, "POST", f"/poll/1/{page}", 200)
    with database.cursor() as cursor:
        cursor.execute("UPDATE question SET hidden_at = now()")
    await check_pseudo(pseudo, "GET", "/poll/1/manage", 200)
    await check_pseudo(pseudo, "POST", "/poll/1/delete", 200)


async def test_an_empty_site_has_no_untranslatable_text(pseudo: TestClient) -> None:
    await check_pseudo(pseudo, "GET", "/", 200)


async def test_the_page_where_visitors_ask_has_no_untranslatable_text(pseudo: TestClient) -> None:
    await check_pseudo(pseudo, "GET", "/ask", 200)
    poll = {"text": "1?", "choice.0.text": "1", "choice.1.text": "2", "site_password": "4711"}
    forms: list[tuple[dict[str, str], int]] = [
        ({}, 400),
        ({**poll, "text": "12", "site_password": "1"}, 400),
        ({"do": "ready-made.lunch"}, 200),
        ({**poll, "access_key": "0" * 26}, 303),
        (poll, 429),
        *(({"site_password": str(number)}, 400) for number in range(2, 4)),
        ({"site_password": "5"}, 429),
    ]
    for sent, status in forms:
        page = await pseudo.post("/ask", data=sent, allow_redirects=False)
        assert page.status == status
        if status != 303:
            check_text("\n".join(shown(parse(await page.text()))), "/ask")
    await check_pseudo(pseudo, "GET", "/ask", 200)  # with the poll


async def test_no_client_error_has_an_untranslatable_text(pseudo: TestClient) -> None:
    await check_pseudo(pseudo, "POST", "/poll/1/vote", 403, headers={"Sec-Fetch-Site": "cross-site"})
    await check_pseudo(pseudo, "POST", "/poll/1/vote", 413, data={"choice": "1" * 70_000})
    await check_pseudo(pseudo, "POST", "/poll/1/vote", 400, data=b"x", headers={"Content-Type": "multipart/form-data"})


@pytest.mark.parametrize(("fault", "status"), [(ZeroDivisionError, 500), (PollsUnavailable, 503)])
async def test_no_server_error_has_an_untranslatable_text(
    pseudo: TestClient, monkeypatch: pytest.MonkeyPatch, fault: type[Exception], status: int
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.setattr(PollCache, "latest", broken)

    await check_pseudo(pseudo, "GET", "/", status)


async def test_several_accept_language_headers_are_combined(client: TestClient) -> None:
    lines = CIMultiDict([("Accept-Language", "de"), ("Accept-Language", "zh")])

    assert (await client.get("/", headers=lines)).headers["Content-Language"] == "zh-Hans"


@pytest.mark.parametrize(
    ("distance", "english", "chinese"),
    [
        (timedelta(minutes=59), "", ""),
        (timedelta(minutes=-59), "", ""),
        (timedelta(hours=1), "in 1 hour", "1小时后"),
        (timedelta(minutes=-100), "2 hours ago", "2小时前"),
        (timedelta(hours=9, minutes=59), "in 10 hours", "10小时后"),
        (timedelta(hours=-14), "14 hours ago", "14小时前"),  # the same day
        (timedelta(hours=13), "tomorrow", "明天"),
        (timedelta(hours=-20), "yesterday", "昨天"),
        (timedelta(hours=34), "in 2 days", "2天后"),
        (timedelta(days=-7), "1 week ago", "1周前"),
        (timedelta(days=40), "in 1 month", "1个月后"),
        (timedelta(days=-800), "2 years ago", "2年前"),
    ],
)
def test_words_for_how_far_away_a_moment_is(distance: timedelta, english: str, chinese: str) -> None:
    now = datetime(2026, 5, 3, 14, 30, tzinfo=UTC)

    assert [language.relative(now + distance, now) for language in load_languages().values()] == [english, chinese]


def test_tomorrow_begins_at_midnight_in_the_sites_time_zone() -> None:
    now = datetime(2026, 5, 3, 22, 30, tzinfo=UTC)  # 00:30 in Berlin

    assert load_languages(ZoneInfo("Europe/Berlin"))["en"].relative(now + timedelta(hours=15), now) == "in 15 hours"
    assert load_languages()["en"].relative(now + timedelta(hours=15), now) == "tomorrow"
