"""Sharing a poll, in a browser: what phones and messengers show of it."""

import pytest

from tests.journeys.conftest import Open


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_the_browsers_own_colour_is_that_of_the_page(open_page: Open, colours: str) -> None:
    page = open_page("/", color_scheme=colours)

    theme, background = page.evaluate(
        """() => {
            const themes = [...document.querySelectorAll("[name=theme-color]")];
            const theme = themes.find(tag => matchMedia(tag.media).matches);
            const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
            return [theme.content, getComputedStyle(document.body).backgroundColor].map(colour => {
                canvas.fillStyle = colour;
                canvas.fillRect(0, 0, 1, 1);
                return [...canvas.getImageData(0, 0, 1, 1).data];
            });
        }"""
    )
    assert theme == background


def test_the_browser_loads_the_manifest(open_page: Open) -> None:
    page = open_page("/")

    found = page.context.new_cdp_session(page).send("Page.getAppManifest")

    assert found["errors"] == []
    assert '"name": "Polls"' in found["data"]
