"""Makes the README's picture: screenshots of pages on phones and of the presenter's page."""

import base64
import sys
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.journeys.conftest import launch
from tests.support.processes import serving

PHONE = {"width": 375, "height": 640}
VOTES = {10: 66, 11: 13, 12: 42}  # {choice id: votes} of the first sample poll
SHOTS = [("/", "light"), ("/poll/3", "light"), ("/poll/3/results", "dark")]
GAP = 24
PRESENTER = {"width": 3 * PHONE["width"] + 2 * GAP, "height": 660}
CONFIG = {"postgres": {"embedded": "var/postgres"}, "site": {"url": "https://polls.example.org"}}


def take(target: Path) -> None:
    """Cast some votes, and save screenshots of three pages side by side with the presenter's page below."""
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder), config=CONFIG) as polls,
        sync_playwright() as playwright,
    ):
        for choice, votes in VOTES.items():
            for _ in range(votes):
                form = urllib.parse.urlencode({"choice": choice}).encode()
                urllib.request.urlopen(f"{polls.url}/poll/3/vote", form).close()
        browser = launch(playwright)
        screenshots = []
        for address, color_scheme in SHOTS:
            page = browser.new_page(viewport=PHONE, color_scheme=color_scheme, device_scale_factor=1.5)
            page.goto(polls.url + address)
            if page.get_by_role("radio").count():
                page.get_by_role("radio").last.check()
            screenshots.append(_screenshot(page))
        page = browser.new_page(viewport=PRESENTER, color_scheme="dark", device_scale_factor=1.5)
        page.goto(f"{polls.url}/poll/3/present")
        screenshots.append(_screenshot(page))
        page = browser.new_page(
            viewport={"width": PRESENTER["width"] + 2 * GAP, "height": PHONE["height"] + PRESENTER["height"] + 3 * GAP},
            device_scale_factor=1.5,
        )
        page.set_content(
            f"<style>body {{ display: flex; flex-wrap: wrap; gap: {GAP}px; margin: {GAP}px; background: #d9dce4 }}"
            f"img {{ width: {PHONE['width']}px; border-radius: 16px }}"
            f"img:last-child {{ width: {PRESENTER['width']}px }}</style>"
            + "".join(f'<img src="data:image/png;base64,{screenshot}">' for screenshot in screenshots)
        )
        page.wait_for_load_state("networkidle")
        target.parent.mkdir(exist_ok=True)
        page.screenshot(path=target)
        browser.close()


def _screenshot(page: Page) -> str:
    """Return a screenshot in base 64, taken when results are live."""
    if page.locator("[data-live]").count():
        page.locator(".is-live").wait_for()
    return base64.b64encode(page.screenshot()).decode()


if __name__ == "__main__":
    take(Path(sys.argv[1]))
