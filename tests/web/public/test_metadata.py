"""What search engines and link previews get: descriptions, pictures, and nothing about pages that aren't public."""

from datetime import timedelta
from typing import Any
from xml.etree.ElementTree import Element

import pytest
from aiohttp.test_utils import TestClient

from polls.config.settings import Site
from tests.conftest import CreatePoll
from tests.support.pages import find, parse
from tests.web.conftest import Client, Serve

URL = "https://polls.example.org"


async def page_at(client: TestClient, path: str, **request: Any) -> Element:
    return parse(await (await client.request(request.pop("method", "GET"), path, **request)).text())


def metadata(page: Element) -> dict[str, str]:
    """Return {name or property: content}, without those that all pages have."""
    tags = {tag.get("name") or tag.get("property", ""): tag.get("content", "") for tag in page.iter("meta")}
    return {name: tags[name] for name in tags if name not in {"", "viewport", "color-scheme", "theme-color"}}


def canonical(page: Element) -> list[str]:
    return [link.get("href", "") for link in find(page, "link", rel="canonical")]


@pytest.mark.parametrize("path", ["/poll/1", "/poll/1/results"])
async def test_the_link_of_a_poll_shows_its_question_and_choices(
    serve: Serve, create_poll: CreatePoll, path: str
) -> None:
    client = await serve(site=Site(name="Village hall", url=URL))
    create_poll('Tea & "co"?', "Yes", "<No>")

    page = await page_at(client, path)

    picture = metadata(page)["og:image"]
    assert picture.startswith(f"{URL}/static/img/link-preview.png?v=")
    assert (await client.get(picture.removeprefix(URL))).content_type == "image/png"
    assert metadata(page) == {
        "description": "Yes · <No>",
        "og:type": "website",
        "og:site_name": "Village hall",
        "og:title": 'Tea & "co"?',
        "og:description": "Yes · <No>",
        "og:url": URL + path,
        "og:image": picture,
        "og:image:width": "1200",
        "og:image:height": "630",
        "twitter:card": "summary_large_image",
    }
    assert canonical(page) == [URL + path]


async def test_a_long_list_of_choices_is_shortened(client: Client, create_poll: CreatePoll) -> None:
    create_poll("Which?", *(f"choice number {number}" for number in range(40)))

    description = metadata(await page_at(client, "/poll/1"))["description"]

    assert description.startswith("choice number 0 · choice number 1 · ")
    assert description.endswith("…")
    assert len(description) == 200


async def test_the_results_after_a_vote_have_the_url_of_the_results(serve: Serve, create_poll: CreatePoll) -> None:
    client = await serve(site=Site(url=URL))
    create_poll("Tea?", "Yes")

    assert canonical(await page_at(client, "/poll/1/results?after=0")) == [f"{URL}/poll/1/results"]


async def test_the_list_has_a_description(client: Client) -> None:
    tags = metadata(await page_at(client, "/"))

    assert tags["og:title"] == "Latest polls"
    assert tags["description"] == "Choose a poll, vote, and watch the results change."


async def test_without_a_configured_url_no_url_is_guessed(client: Client, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes")

    page = await page_at(client, "/poll/1", headers={"Host": "evil.example"})

    assert not {"og:url", "og:image"} & set(metadata(page))
    assert canonical(page) == []


async def test_other_pages_are_not_indexed_and_describe_nothing(ada: Client, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes")
    create_poll("Next year?", "Yes", ago=-timedelta(days=30))
    previews = ["/poll/2", "/poll/2/results", "/poll/2/present"]

    for path in [*previews, "/poll/1/present", "/nowhere", "/admin/", "/admin/polls/1", "/admin/account"]:
        assert metadata(await page_at(ada, path)) == {"robots": "noindex"}, path
    refused = await page_at(ada, "/poll/99/vote", method="POST", data={"choice": "1"})
    assert metadata(refused) == {"robots": "noindex"}


async def test_a_poll_that_is_not_public_yet_is_like_one_that_does_not_exist(
    client: Client, create_poll: CreatePoll
) -> None:
    create_poll("Next year?", "Secret", ago=-timedelta(days=30))

    for path in ("/poll/1", "/poll/99", "/poll/1/results"):
        assert metadata(await page_at(client, path)) == {"robots": "noindex"}
