"""Makes the images of the site in static/img/ that aren't SVG: its icons, and its picture in link previews."""

import struct
import sys
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from polls import paths
from tests.journeys.conftest import launch

HERE = Path(__file__).parent
FAVICON_SIZES = (16, 32, 48)
TOUCH_ICON_SIZE = 180


def draw(target: Path) -> None:
    """Write link-preview.png, touch-icon.png and favicon.ico into the folder `target`."""
    with sync_playwright() as playwright:
        browser = launch(playwright)
        page = browser.new_page(viewport={"width": 1200, "height": 630})
        page.goto((HERE / "link_preview.html").as_uri())
        page.screenshot(path=target / "link-preview.png")
        # iOS shows transparent parts in black.
        (target / "touch-icon.png").write_bytes(_logo(browser, TOUCH_ICON_SIZE, width=0.72, background="var(--page)"))
        (target / "favicon.ico").write_bytes(_ico({size: _logo(browser, size) for size in FAVICON_SIZES}))
        browser.close()


def _logo(browser: Browser, size: int, *, width: float = 1, background: str = "none") -> bytes:
    """Return the logo as a PNG of `size` x `size` pixels, in the middle; its `width` is a part of the size."""
    page = browser.new_page(viewport={"width": size, "height": size}, color_scheme="light")
    page.goto((HERE / "link_preview.html").as_uri())  # a file, which may load others
    page.set_content(
        f'<link rel="stylesheet" href="{(paths.STATIC / "css/public/tokens.css").as_uri()}">'
        "<style>body { display: grid; place-items: center; block-size: 100vh; margin: 0 }</style>"
        f'<body style="background: {background}">'
        f'<img src="{(paths.STATIC / "img/polls.svg").as_uri()}" width="{size * width}" height="{size * width}">'
    )
    page.wait_for_load_state("networkidle")
    return page.screenshot(omit_background=True)


def _ico(images: dict[int, bytes]) -> bytes:
    """Return an ICO file with these PNG images: {width and height: image}."""
    directory, offset = struct.pack("<HHH", 0, 1, len(images)), 6 + 16 * len(images)
    for size, image in images.items():
        directory += struct.pack("<BBBBHHII", size, size, 0, 0, 1, 32, len(image), offset)
        offset += len(image)
    return directory + b"".join(images.values())


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
