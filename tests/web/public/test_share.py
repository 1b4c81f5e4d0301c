"""The block that shares a poll: its address and its QR code."""

from datetime import timedelta
from xml.etree.ElementTree import Element

from aiohttp.test_utils import TestClient

from polls.config.settings import Site
from tests.conftest import CreatePoll
from tests.support.pages import find, links, parse, words
from tests.web.conftest import Client, Serve

RESULTS = "/poll/1/results"


async def share_block(client: TestClient, path: str) -> Element:
    (block,) = find(parse(await (await client.get(path)).text()), "div", class_="share-block")
    return block


async def test_the_results_show_the_configured_address_as_text(serve: Serve, create_poll: CreatePoll) -> None:
    client = await serve(site=Site(url="https://polls.example.org"), prefix="/polls")
    create_poll("Tea?", "Yes")

    block = await share_block(client, f"/polls{RESULTS}")

    assert words(find(block, "p", class_="share-url")[0]) == "https://polls.example.org/polls/poll/1"
    assert links(block) == {}
    assert [image.get("src") for image in block.iter("img")] == ["/polls/poll/1/qr.svg"]


async def test_without_a_configured_address_the_results_are_the_same_for_every_host(
    client: Client, create_poll: CreatePoll
) -> None:
    create_poll("Tea?", "Yes")

    etags = {(await client.get(RESULTS, headers={"Host": host})).headers["ETag"] for host in ("a.example", "b.example")}

    assert len(etags) == 1
    assert links(await share_block(client, RESULTS)) == {"/poll/1": "/poll/1"}


async def test_the_buttons_are_hidden_until_a_script_shows_them(client: Client, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes")

    block = await share_block(client, RESULTS)

    (row,) = (row for row in block.iter("p") if "hidden" in row.attrib and row.find("button") is not None)
    assert [words(button) for button in row.iter("button")] == ["Copy", "Share"]


async def test_a_polls_admin_page_has_it_and_a_preview_of_the_results_has_not(
    ada: Client, create_poll: CreatePoll
) -> None:
    create_poll("Next year?", "Yes", ago=-timedelta(days=30))

    assert links(await share_block(ada, "/admin/polls/1")) == {"/poll/1": "/poll/1"}
    assert find(parse(await (await ada.get(RESULTS)).text()), "div", class_="share-block") == []
