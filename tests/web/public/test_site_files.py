"""Favicon, robots.txt, the web app manifest, and the images that pages name."""

import struct
from urllib.robotparser import RobotFileParser

import pytest

from polls import paths
from polls.config.settings import Site
from tests.support.pages import find, parse, png_size
from tests.web.conftest import Client, Serve


@pytest.mark.parametrize("prefix", ["", "/polls"])
async def test_crawlers_may_read_all_but_the_admin(serve: Serve, prefix: str) -> None:
    client = await serve(prefix=prefix)
    response = await client.get(f"{prefix}/robots.txt")
    rules = RobotFileParser()
    rules.parse((await response.text()).splitlines())

    assert response.content_type == "text/plain"
    for path in ("/", "/?page=2", "/poll/1", "/poll/1/results", "/static/css/base.css"):
        assert rules.can_fetch("*", prefix + path)
    for path in ("/admin", "/admin/", "/admin/polls/1", "/language/en?next=/"):
        assert not rules.can_fetch("*", prefix + path)


async def test_the_favicon_has_three_sizes_and_is_cached_for_a_day(client: Client) -> None:
    response = await client.get("/favicon.ico")

    icon = await response.read()
    images = [struct.unpack_from("<BB6xII", icon, 6 + 16 * number) for number in range(3)]
    assert (response.status, response.headers["Cache-Control"]) == (200, "public, max-age=86400")
    assert icon[:6] == struct.pack("<HHH", 0, 1, 3)
    assert [png_size(icon[offset : offset + length]) for _, _, length, offset in images] == [
        (16, 16),
        (32, 32),
        (48, 48),
    ]
    assert (await client.get("/favicon.ico", headers={"If-None-Match": response.headers["ETag"]})).status == 304


@pytest.mark.parametrize("prefix", ["", "/polls"])
async def test_the_manifest_has_the_sites_name_and_icons_that_exist(serve: Serve, prefix: str) -> None:
    client = await serve(prefix=prefix, site=Site(name="Village hall"))
    (link,) = find(parse(await (await client.get(f"{prefix}/")).text()), "link", rel="manifest")

    manifest = await (await client.get(link.get("href", ""))).json(content_type="application/manifest+json")

    assert manifest["name"] == "Village hall"
    assert manifest["start_url"] == f"{prefix}/"
    for icon in manifest["icons"]:
        assert (await client.get(icon["src"])).content_type == icon["type"]


def test_the_images_have_the_sizes_that_pages_and_the_manifest_state() -> None:
    images = {file.name: png_size(file.read_bytes()) for file in (paths.STATIC / "img").glob("*.png")}

    assert images == {"link-preview.png": (1200, 630), "touch-icon.png": (180, 180)}
