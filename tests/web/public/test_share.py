"""The block and the page that share a poll: its address, its QR code and a text to send."""

from datetime import timedelta
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from aiohttp.test_utils import TestClient

from polls.config.settings import Site
from polls.storage.postgres.connect import Connection
from tests.conftest import CreatePoll
from tests.support.pages import find, links, parse, words
from tests.web.conftest import Client, Serve

RESULTS, SHARE = "/poll/1/results", "/poll/1/share"


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

    assert [(words(button), "hidden" in button.attrib) for button in block.iter("button")] == [
        ("Copy", True),
        ("Share", True),
    ]


async def test_a_polls_admin_page_has_it_and_a_preview_of_the_results_has_not(
    ada: Client, create_poll: CreatePoll
) -> None:
    create_poll("Next year?", "Yes", ago=-timedelta(days=30))

    assert links(await share_block(ada, "/admin/polls/1")) == {"/poll/1": "/poll/1"}
    assert find(parse(await (await ada.get(RESULTS)).text()), "div", class_="share-block") == []


async def test_the_page_has_the_whole_address_images_and_a_message(client: Client, create_poll: CreatePoll) -> None:
    create_poll("Tea & cake?", "Yes")
    url = "http://polls.example:8080/poll/1"
    message = f"Tea & cake?\nVote: {url}"

    page = parse(await (await client.get(SHARE, headers={"Host": "polls.example:8080"})).text())

    assert words(find(page, "p", class_="share-url")[0]) == url
    assert find(page, "p", class_="share-text")[0].text == message
    (email,) = [href for href in links(page).values() if href.startswith("mailto:")]
    assert unquote(email) == f"mailto:?subject=Tea & cake?&body={message}".replace("\n", "\r\n")
    assert "&body=" in email
    assert "& cake" not in email
    assert [link.get("download") for link in find(page, "a") if "download" in link.attrib] == ["1.png", "1.svg"]
    assert [meta.get("content") for meta in find(page, "meta", name="robots")] == ["noindex"]


async def test_the_message_says_until_when_votes_are_taken(
    client: Client, create_poll: CreatePoll, database: Connection
) -> None:
    create_poll("Tea?", "Yes")
    create_poll("Old?", "Yes", closed=timedelta(0))
    with database.cursor() as cursor:
        cursor.execute("UPDATE question SET closes_at = '2099-05-03 18:00+00' WHERE id = 1")

    pages = [
        parse(await (await client.get(f"/poll/{number}/share", headers={"Host": "a"})).text()) for number in (1, 2)
    ]

    assert [words(find(page, "p", class_="share-text")[0]) for page in pages] == [
        "Tea? Vote until 3 May 2099, 18:00 UTC: http://a/poll/1",
        "Old? Results: http://a/poll/2/results",
    ]


async def test_the_page_is_not_shown_before_the_poll_is_public_except_to_admins(
    ada: Client, client: Client, create_poll: CreatePoll
) -> None:
    create_poll("Next year?", "Yes", ago=-timedelta(days=30))

    response = await ada.get(SHARE)

    assert (response.status, response.headers["Cache-Control"]) == (200, "private, no-store")
    assert links(parse(await response.text()))["Edit"] == "/admin/polls/1"
    assert (await client.get(SHARE)).status == 404
    assert (await client.get(SHARE, headers={"Host": "a b"})).status == 404
