"""Links in descriptions and in texts of the operator, but not in the polls of visitors."""

from datetime import timedelta

import pytest

from polls.domain.settings import PollSettings
from polls.storage.postgres.connect import Connection
from polls.web.pages.linked import linked
from tests.conftest import CaughtUp, CreatePoll
from tests.support.pages import find, parse, words
from tests.web.conftest import Client


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("See https://example.org.", ["https://example.org"]),
        ("(https://a.example/b_(c)) and http://b.example:8080/?q=1&r#s!", ["https://a.example/b_(c)", "http://b.example:8080/?q=1&r#s"]),
        ("请看https://example.org/投票。谢谢", ["https://example.org/投票"]),
        ("（https://example.org/a，https://example.org）", ["https://example.org/a", "https://example.org"]),
        ("请看https://example.org谢谢", ["https://example.org"]),
        ('https://example.org/"onclick=x <https://example.org/a>', ["https://example.org/", "https://example.org/a"]),
        ("https://example.org/a...", ["https://example.org/a"]),
        ("javascript:alert(1) https:// http://. ftp://example.org www.example.org example.org", []),
    ],
)  # fmt: skip
def test_urls_are_links_up_to_the_punctuation_after_them(text: str, urls: list[str]) -> None:
    page = parse(f"<!DOCTYPE html><title>.</title><p>{linked(text)}</p>")

    assert [link.get("href") for link in page.iter("a")] == urls
    assert "".join(find(page, "p")[0].itertext()) == text


async def test_the_links_of_a_description_are_for_people_and_not_for_search_engines(
    client: Client, create_poll: CreatePoll
) -> None:
    create_poll("Tea?", "Yes", settings=PollSettings(description="<b>Why?</b>\nhttps://example.org/?a&b"))

    for path in ("/poll/1", "/poll/1/results"):
        (description,) = find(parse(await (await client.get(path)).text()), "p", class_="description")
        (link,) = description
        assert (link.get("href"), link.get("rel")) == ("https://example.org/?a&b", "nofollow noopener")
        assert description.text == "<b>Why?</b>\n"


async def test_a_visitors_poll_says_so_and_has_no_links(
    client: Client, create_poll: CreatePoll, database: Connection, caught_up: CaughtUp
) -> None:
    for closed in (None, timedelta(0)):
        create_poll("Tea?", "Yes", closed=closed, settings=PollSettings(description="https://example.org/"))
    paths = ["/poll/1", "/poll/2", "/poll/1/results", "/poll/1/present"]
    of_admins = [words(parse(await (await client.get(path)).text())) for path in paths]
    with database.cursor() as cursor:
        cursor.execute("UPDATE poll_settings SET asked_at = now()")
    await caught_up(client)

    pages = [parse(await (await client.get(path)).text()) for path in paths]

    assert [page for page in of_admins if "Asked by" in page] == []
    assert [page for page in pages if "Asked by a visitor of this site." not in words(page)] == []
    assert [link for page in pages for paragraph in find(page, "p", class_="description") for link in paragraph] == []
    assert "https://example.org/" in words(pages[0])
