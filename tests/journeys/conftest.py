"""A real browser, and polls as `make run` starts it."""

import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Error, Page, Playwright, Request, sync_playwright

from tests.support.processes import Polls, command, serving

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NAME = "polls.test"  # a name that is not loopback, to a browser's eyes, and leads there all the same

CLOSED_POLL = """
    INSERT INTO question (question_text, pub_date, closes_at) VALUES ('Tea?', now() - interval '9 days', now());
    INSERT INTO choice (question_id, choice_text) SELECT max(id), 'Yes' FROM question;
"""

Open = Callable[..., Page]


def program() -> str | None:
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def launch(playwright: Playwright) -> Browser:
    """The machine's own browser, which speaks to nobody but us."""
    return playwright.chromium.launch(
        executable_path=program(),
        args=[
            f"--host-resolver-rules=MAP {NAME} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            *(["--no-sandbox"] if os.geteuid() == 0 else []),
        ],
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # Not for the whole session: while Playwright runs, no other test in this process can have an event loop.
    if program() is None:
        pytest.skip(f"there is no browser: none of {', '.join(BROWSERS)} is installed")
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def polls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Polls]:
    """The sample polls, on the private PostgreSQL, and one more that is closed."""
    folder = tmp_path_factory.mktemp("journeys")
    with serving(folder) as polls:
        done = command(folder, "psql", "--", "-c", CLOSED_POLL)
        assert done.returncode == 0, done.stderr
        yield polls


@pytest.fixture
def open_page(browser: Browser, polls: Polls) -> Iterator[Open]:
    """Open a page: `open_page("/", width=360, java_script_enabled=False)`.

    Fails at the end if the browser complained about anything.
    """
    contexts = []
    complaints: list[str] = []

    def open_page(address: str, *, width: int = 1280, url: str = polls.url, **options: object) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 800}, **{"locale": "en-GB", **options})  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("requestfailed", lambda request: complaints.extend(_failure(request)))
        page.goto(f"{url}{address}")
        return page

    yield open_page
    for context in contexts:
        for page in context.pages:
            _come_to_rest(page)
        context.close()
    # A page answered with 400 is said on the console too, and is meant.
    assert [complaint for complaint in complaints if "status of 40" not in complaint] == []


def _come_to_rest(page: Page) -> None:
    """Leave for an empty page: one that is closed on its way to an address may never say that it is closed."""
    try:
        page.goto("about:blank")
    except Error:  # it left by itself at that moment, as the results of a poll do when the poll is deleted
        page.wait_for_load_state()
        page.goto("about:blank")


def _failure(request: Request) -> list[str]:
    """What went wrong with a request; one that was given up since its page was left is no failure."""
    return [] if request.failure == "net::ERR_ABORTED" else [f"failed: {request.url}"]


def violations(page: Page) -> list[str]:
    """What axe finds wrong with the page, in words."""
    found = Axe().run(page).response["violations"]
    return [f"{page.url}: {rule['help']}: {[node['target'] for node in rule['nodes']]}" for rule in found]


def shifts(page: Page) -> list[float]:
    """How far things on the page moved while it was loading, as the browser scores it."""
    page.wait_for_load_state("networkidle")
    moved: list[float] = page.evaluate(
        """() => new Promise(resolve => {
            new PerformanceObserver(list => resolve(list.getEntries().map(entry => entry.value)))
                .observe({type: "layout-shift", buffered: true});
            setTimeout(() => resolve([]), 300);
        })"""
    )
    return moved
