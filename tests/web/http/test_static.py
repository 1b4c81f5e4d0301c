"""Static files: hashed URLs, caching, and nothing outside their folder."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from yarl import URL

from polls import paths
from polls.app import create_app
from polls.config.settings import Config
from polls.web.http.static import CACHE_FOR_A_YEAR
from tests.conftest import CreatePoll


async def test_pages_link_static_files_with_a_hash_and_these_are_cached_for_a_year(client: TestClient) -> None:
    urls = re.findall(r'"(/static/[^"]+)"', await (await client.get("/")).text())

    assert len(urls) >= 3
    for url in urls:
        assert "?v=" in url
        response = await client.get(url)
        assert response.status == 200
        assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize("query", ["", "?v=", "?v=of-another-version"])
async def test_a_static_file_with_another_hash_is_not_cached(client: TestClient, query: str) -> None:
    response = await client.get(f"/static/css/public.css{query}")

    assert response.status == 200
    assert response.headers["Cache-Control"] == "no-cache"


async def test_a_request_for_an_unchanged_file_gets_304(client: TestClient) -> None:
    first = await client.get("/static/css/public.css")

    second = await client.get("/static/css/public.css", headers={"If-None-Match": first.headers["ETag"]})

    assert (second.status, await second.read()) == (304, b"")
    assert "Content-Type" not in second.headers


@pytest.mark.parametrize(
    "path", ["css/missing.css", "css/missing.css?v=1", "css/./base.css", "css%2Fbase.css", "css//base.css"]
)
async def test_a_missing_file_and_a_second_name_of_a_file_get_the_error_page(client: TestClient, path: str) -> None:
    response = await client.session.get(URL(f"http://{client.host}:{client.port}/static/{path}", encoded=True))

    assert (response.status, response.content_type) == (404, "text/html")
    assert response.headers["Cache-Control"] == "no-store"
    assert "This page doesn&#39;t exist." in await response.text()


async def test_a_file_that_disappears_in_an_upgrade_is_still_served(
    config: Config, aiohttp_client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(paths.STATIC, tmp_path / "static")
    monkeypatch.setattr(paths, "STATIC", tmp_path / "static")
    client = await aiohttp_client(create_app(config))
    url = re.findall(r'"(/static/css/public[^"]+)"', await (await client.get("/")).text())[0]

    before = await (await client.get(url)).read()
    shutil.rmtree(tmp_path / "static/css")
    response = await client.get(url)

    assert (response.status, response.headers["Cache-Control"]) == (200, CACHE_FOR_A_YEAR)
    assert await response.read() == before != b""


@pytest.mark.parametrize(
    "path",
    [
        "../setup.py",
        "..%2fsetup.py",
        "%2e%2e/setup.py",
        "%2e%2e%2fsetup.py",
        "css/../../setup.py",
        "css/%2e%2e/%2e%2e/setup.py",
        "..%5csetup.py",
        "....//setup.py",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "css/base.css%00",
        "css",
        "",
        "nothing",
        "a" * 300,
    ],
)
async def test_nothing_outside_the_folder_is_served(client: TestClient, path: str) -> None:
    response = await client.session.get(URL(f"http://{client.host}:{client.port}/static/{path}", encoded=True))

    assert response.status in {403, 404}
    assert "setuptools" not in await response.text()


async def test_the_logo_is_served_as_svg(client: TestClient) -> None:
    response = await client.get("/static/img/polls.svg")

    assert response.content_type == "image/svg+xml"


@pytest.mark.parametrize(
    ("path", "sheets"),
    [
        ("/", ["public"]),
        ("/poll/1", ["public"]),
        ("/poll/1/results", ["public"]),
        ("/poll/1/present", ["public", "presenter"]),
        ("/nowhere", ["public"]),
        ("/admin/login", ["public", "admin"]),
    ],
)
async def test_a_page_loads_the_style_sheets_of_its_kind_only(
    client: TestClient, create_poll: CreatePoll, path: str, sheets: list[str]
) -> None:
    create_poll("Pick one", "A", "B")

    page = await (await client.get(path)).text()

    assert re.findall(r'href="/static/css/([^"?]+)\.css', page) == sheets


@pytest.mark.parametrize("path", ["/", "/poll/1", "/poll/1/results", "/poll/1/present"])
async def test_a_first_visit_loads_at_most_two_style_sheets_and_20_kilobytes(
    client: TestClient, create_poll: CreatePoll, path: str
) -> None:
    """As sent: the page, its style sheets, its scripts and its icon, each compressed if it is."""
    create_poll("Which framework do you reach for first?", "aiohttp", "Django", "Flask", "FastAPI", "Something else")
    page = await client.get(path)
    links = re.findall(r'<(?:script|link|img)[^>]* (?:src|href)="(/static/[^"]+)"', await page.text())
    files = {url for url in links if "touch-icon" not in url}  # loaded when the page is put on a home screen

    sizes = {url: int((await client.get(url)).headers["Content-Length"]) for url in (path, *files)}

    assert sum(sizes.values()) <= 20_000, sizes
    assert 1 <= len([url for url in files if ".css" in url]) <= 2


async def test_static_files_are_compressed_in_a_checkout(client: TestClient) -> None:
    plain = await client.get("/static/css/public.css", headers={"Accept-Encoding": "identity"})
    compressed = await client.get("/static/css/public.css", headers={"Accept-Encoding": "gzip"})

    assert "Content-Encoding" not in plain.headers
    assert compressed.headers["Content-Encoding"] == "gzip"
    assert compressed.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"
    assert compressed.headers["ETag"] != plain.headers["ETag"]
    assert int(compressed.headers["Content-Length"]) < int(plain.headers["Content-Length"]) / 2
    assert await compressed.read() == await plain.read()  # decompressed by the client


async def test_a_style_sheet_is_all_files_of_its_folder(client: TestClient) -> None:
    response = await client.get("/static/css/public.css")

    sources = [file.read_text() for file in sorted((paths.STATIC / "css/public").iterdir())]
    assert await response.text() == "".join(sources)
    assert sources


def test_every_style_sheet_and_script_is_linked() -> None:
    pages = [page.read_text() for page in paths.TEMPLATES.rglob("*.html")]

    calls = [call for page in pages for call in re.findall(r"static\((.*?)\)", page)]
    linked = {found for call in calls for found in re.findall(r"'(?:css|js)/([a-z.-]+)'", call)}
    scripts = {file.name for file in (paths.STATIC / "js").iterdir()}
    assert linked == scripts | {f"{folder.name}.css" for folder in (paths.STATIC / "css").iterdir()}
