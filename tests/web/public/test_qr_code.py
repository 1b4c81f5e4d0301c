"""The QR code of a poll's URL, as an image."""

import io
from datetime import timedelta
from xml.etree.ElementTree import fromstring

import pytest
import segno
from aiohttp import ClientResponse

from polls.config.settings import Site
from tests.conftest import CreatePoll
from tests.support.pages import png_size
from tests.web.conftest import Client, Serve

QR_CODE = "/poll/1/qr.svg"


async def drawn(response: ClientResponse) -> str:
    """Return the SVG path of the dark modules."""
    assert (response.status, response.content_type) == (200, "image/svg+xml")
    background, modules = fromstring(await response.read())
    assert background.get("fill") == "#fff"
    return modules.get("d", "")


def qr_code(url: str) -> str:
    return segno.make_qr(url).svg_inline(border=4, svgclass=None, lineclass=None).partition(' d="')[2].split('"')[0]


async def test_it_leads_to_the_poll_at_the_host_of_the_request(client: Client, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes")

    response = await client.get(QR_CODE, headers={"Host": "polls.example:8080"})

    assert await drawn(response) == qr_code("http://polls.example:8080/poll/1")
    assert response.headers["Cache-Control"] == "max-age=86400"


async def test_it_leads_to_the_configured_url(serve: Serve, create_poll: CreatePoll) -> None:
    client = await serve(site=Site(url="https://polls.example.org"), prefix="/polls")
    create_poll("Tea?", "Yes")

    response = await client.get(f"/polls{QR_CODE}", headers={"Host": "a b"})

    assert await drawn(response) == qr_code("https://polls.example.org/polls/poll/1")


async def test_it_is_also_a_png_that_is_large_enough_for_print(client: Client, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes")

    response = await client.get("/poll/1/qr.png", headers={"Host": "polls.example:8080"})

    png = await response.read()
    assert (response.status, response.content_type) == (200, "image/png")
    assert png_size(png) >= (1000, 1000)
    expected = io.BytesIO()
    segno.make_qr("http://polls.example:8080/poll/1").save(expected, "png", border=4, scale=png_size(png)[0] // 33)
    assert png == expected.getvalue()


@pytest.mark.parametrize("host", ["", "a b", "<b>", "[::1", "a:99999"])
async def test_an_invalid_host_is_refused(client: Client, create_poll: CreatePoll, host: str) -> None:
    create_poll("Tea?", "Yes")

    assert (await client.get(QR_CODE, headers={"Host": host})).status == 400


async def test_only_admins_get_that_of_a_poll_that_is_not_public_yet(
    ada: Client, client: Client, create_poll: CreatePoll
) -> None:
    create_poll("Next year?", "Yes", ago=-timedelta(days=30))

    response = await ada.get(QR_CODE)

    assert (response.status, response.headers["Cache-Control"]) == (200, "private, no-store")
    assert (await client.get(QR_CODE)).status == (await client.get("/poll/99/qr.svg")).status == 404
