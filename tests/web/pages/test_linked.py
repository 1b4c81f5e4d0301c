"""Links in descriptions, and in texts of the operator."""

import pytest

from polls.domain.settings import PollSettings
from polls.web.pages.linked import linked
from tests.conftest import CreatePoll
from tests.support.pages import find, parse
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
