"""Privacy and imprint, from files of the operator."""

from pathlib import Path

import pytest

from polls.config.loader import load
from polls.config.settings import Site
from polls.config.yaml_file import InvalidFile
from tests.support.pages import find, links, parse, words
from tests.web.conftest import Client, Serve


@pytest.fixture
async def client(serve: Serve, tmp_path: Path) -> Client:
    """A browser at a site below a prefix, with both texts."""
    privacy, imprint = tmp_path / "privacy.txt", tmp_path / "imprint.html"
    privacy.write_text("Nothing <is> stored.\nhttps://example.org/law\n", "utf-8")
    imprint.write_text("<p>Village hall,\n<a href='/map'>map</a></p>", "utf-8")
    return await serve(prefix="/polls", site=Site(privacy=privacy, imprint=imprint))


async def test_each_page_links_to_both_texts(client: Client) -> None:
    for path in ("/polls/", "/polls/nowhere", "/polls/admin/login"):
        found = links(parse(await (await client.get(path)).text()))
        assert (found["Privacy"], found["Imprint"]) == ("/polls/privacy", "/polls/imprint")


async def test_plain_text_is_shown_as_it_is_with_links(client: Client) -> None:
    response = await client.get("/polls/privacy")

    page = parse(await response.text())
    (text,) = find(page, "div", class_="plain-text")
    assert "".join(text.itertext()) == "Nothing <is> stored.\nhttps://example.org/law"
    assert [link.get("href") for link in text.iter("a")] == ["https://example.org/law"]
    assert words(find(page, "h1")[0]) == "Privacy"
    assert response.headers["Cache-Control"] == "max-age=0, s-maxage=1"


async def test_html_is_a_part_of_the_page(client: Client) -> None:
    page = parse(await (await client.get("/polls/imprint")).text())

    (text,) = find(page, "div", class_="site-text")
    assert (words(text), links(text)) == ("Village hall, map", {"map": "/map"})


async def test_without_files_there_are_no_such_pages(serve: Serve) -> None:
    client = await serve()

    assert (await client.get("/privacy")).status == (await client.get("/imprint")).status == 404
    assert links(parse(await (await client.get("/")).text())).keys().isdisjoint({"Privacy", "Imprint"})


def test_a_file_that_cannot_be_read_is_an_error_of_the_configuration(tmp_path: Path) -> None:
    file, text = tmp_path / "my.yaml", tmp_path / "text"
    text.write_bytes(b"\xff")
    file.write_text(f"postgres: {{}}\nsite:\n  privacy: {tmp_path}/missing\n  imprint: {text}", "utf-8")

    with pytest.raises(InvalidFile) as error:
        load(file)

    assert error.value.problems == [
        f"{file}:3: site.privacy: can't read file {tmp_path}/missing: No such file or directory",
        f"{file}:4: site.imprint: file {text} is not UTF-8 text",
    ]
