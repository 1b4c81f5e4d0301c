"""The presenter's page."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from xml.etree.ElementTree import Element

import pytest
import segno
from aiohttp.test_utils import TestClient

from polls.app import create_app
from polls.config.settings import Config, Site
from tests.conftest import CreatePoll
from tests.support.pages import SVG, find, links, parse, words


def qr_codes(page: Element) -> Iterator[str]:
    """Yield the SVG path of each QR code on the page, without its background."""
    for link in find(page, "a", class_="qr"):
        yield from (path.get("d", "") for path in link.iter(f"{SVG}path") if path.get("stroke"))


def qr_code_path(url: str) -> str:
    return segno.make_qr(url).svg_inline(border=4, svgclass=None, lineclass=None).partition(' d="')[2].split('"')[0]


async def presenter_page(client: TestClient, **headers: str) -> Element:
    answer = await client.get("/poll/1/present", headers=headers)
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "private, no-cache"
    return parse(await answer.text())


async def test_it_shows_the_question_the_results_and_the_url_for_voting(
    client: TestClient, create_poll: CreatePoll
) -> None:
    create_poll("Tea?", "Yes", "No", votes=(3, 1))

    page = await presenter_page(client, Host="polls.example:8080")

    assert [words(heading) for heading in page.iter("h1")] == ["Tea?"]
    assert [words(row) for row in find(page, "li", class_="result")] == ["Yes leads 3 votes 75%", "No 1 vote 25%"]
    assert "4 votes in all" in words(page)
    assert links(page)["polls.example:8080/poll/1"] == "http://polls.example:8080/poll/1"
    assert list(qr_codes(page)) == [qr_code_path("http://polls.example:8080/poll/1")]


async def test_the_configured_url_takes_precedence(
    config: Config, create_poll: CreatePoll, aiohttp_client: Any
) -> None:
    client = await aiohttp_client(create_app(replace(config, site=Site(url="https://polls.example.org"))))
    create_poll("Tea?", "Yes")

    page = await presenter_page(client)

    assert links(page)["polls.example.org/poll/1"] == "https://polls.example.org/poll/1"
    assert list(qr_codes(page)) == [qr_code_path("https://polls.example.org/poll/1")]


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("127.0.0.1:8080", True),
        ("localhost:8080", True),
        ("[::1]:8080", True),
        ("127.1.2.3", True),
        ("polls.localhost", True),
        ("192.168.1.7:8080", False),
        ("polls.example", False),
        ("localhost.example", False),
        ("[2001:db8::1]", False),
    ],
)
async def test_a_loopback_url_comes_with_a_hint_how_phones_can_open_it(
    client: TestClient, create_poll: CreatePoll, host: str, is_local: bool
) -> None:
    create_poll("Tea?", "Yes")

    page = await presenter_page(client, Host=host)

    assert ("--host 0.0.0.0" in words(page)) is is_local


@pytest.mark.parametrize(
    "host", ["", "a b", "<b>", "polls.example/..", "x" * 300, "[::1", "[::::]", "[1:2]", "a:99999", "a:0", "é"]
)
async def test_an_invalid_host_is_refused(client: TestClient, create_poll: CreatePoll, host: str) -> None:
    create_poll("Tea?", "Yes")

    assert (await client.get("/poll/1/present", headers={"Host": host})).status == 400


async def test_a_poll_with_more_choices_than_fit_lists_the_leading_ones_first(
    client: TestClient, create_poll: CreatePoll
) -> None:
    create_poll("Which?", *(f"No. {number}" for number in range(1, 25)), votes=(0, 2, 3, 2, *[1] * 20))

    page = await presenter_page(client)

    choices = [words(name) for name in find(page, "span", class_="name")]
    assert choices[:5] == ["No. 3", "No. 2", "No. 4", "No. 5", "No. 6"]
    assert choices[-1] == "No. 1"
    assert links(page)["and 4 more"] == "/poll/1/results"


@pytest.mark.parametrize(
    ("question", "choices", "sizes"),
    [
        ("Tea?", ["Yes", "No"], ["large", "large"]),
        ("Tea, or coffee, or what else shall we drink together?", ["Tea"], ["medium", "large"]),
        ("今天下午我们大家一起喝茶还是喝咖啡，还是喝点别的？", ["茶"], ["medium", "large"]),
        ("Tea? " * 30, ["Tea " * 20], ["small", "small"]),
        ("Tea?", ["Tea from the Himalayas, with milk"] * 8, ["large", "large"]),
        ("Tea?", ["Tea from the Himalayas, with milk"] * 9, ["large", "small"]),
    ],
)
async def test_long_texts_have_smaller_letters(
    client: TestClient, create_poll: CreatePoll, question: str, choices: list[str], sizes: list[str]
) -> None:
    create_poll(question, *choices)

    page = await presenter_page(client)

    (heading,), (section,) = page.iter("h1"), find(page, "section", class_="poll-results")
    assert [heading.get("class", ""), section.get("class", "").split()[-1]] == sizes


async def test_a_closed_poll_has_no_qr_code(client: TestClient, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes", closed=timedelta(days=1))

    page = await presenter_page(client)

    assert "This poll closed on" in words(page)
    assert list(qr_codes(page)) == []


async def test_an_unknown_poll_is_not_found(client: TestClient) -> None:
    assert (await client.get("/poll/999/present")).status == 404
