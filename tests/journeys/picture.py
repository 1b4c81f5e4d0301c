"""Takes the README's picture: the real pages, in a real browser, on a phone's width."""

import base64
import sys
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.journeys.conftest import launch
from tests.processes import serving

PHONE = {"width": 375, "height": 640}
VOTES = {10: 66, 11: 13, 12: 42}  # {choice: how many}, of the first sample poll on the list
SHOTS = [("/", "light"), ("/poll/3", "light"), ("/poll/3/results", "dark")]


def take(target: Path) -> None:
    """Vote a little, photograph three pages, and lay them side by side."""
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as polls, sync_playwright() as playwright:
        for choice, votes in VOTES.items():
            for _ in range(votes):
                form = urllib.parse.urlencode({"choice": choice}).encode()
                urllib.request.urlopen(f"{polls.url}/poll/3/vote", form).close()
        browser = launch(playwright)
        shots = []
        for address, colours in SHOTS:
            page = browser.new_page(viewport=PHONE, color_scheme=colours, device_scale_factor=1.5)
            page.goto(polls.url + address)
            if page.get_by_role("radio").count():
                page.get_by_role("radio").last.check()
            shots.append(base64.b64encode(page.screenshot()).decode())
        page = browser.new_page(viewport={"width": 3 * 375 + 4 * 24, "height": 640 + 2 * 24}, device_scale_factor=1.5)
        page.set_content(
            "<style>body { display: flex; gap: 24px; margin: 24px; background: #d9dce4 }"
            "img { width: 375px; border-radius: 16px }</style>"
            + "".join(f'<img src="data:image/png;base64,{shot}">' for shot in shots)
        )
        page.wait_for_load_state("networkidle")
        target.parent.mkdir(exist_ok=True)
        page.screenshot(path=target)
        browser.close()


if __name__ == "__main__":
    take(Path(sys.argv[1]))
