"""Fixtures for tests in a real browser, with polls started as by `make run`."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Error, Page, Playwright, Request, expect, sync_playwright

from tests.support.processes import Polls, command, serving

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NAME = "polls.test"  # resolves to loopback, but browsers don't treat it as loopback

CLOSED_POLL = """
    INSERT INTO question (question_text, pub_date, closes_at) VALUES ('Tea?', now() - interval '9 days', now());
    INSERT INTO choice (question_id, choice_text) SELECT max(id), 'Yes' FROM question;
"""

Open = Callable[..., Page]


def program() -> str | None:
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def launch(playwright: Playwright) -> Browser:
    """Start the installed browser, with all other hosts blocked."""
    return playwright.chromium.launch(
        executable_path=program(),
        args=[
            f"--host-resolver-rules=MAP {NAME} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            *(["--no-sandbox"] if os.geteuid() == 0 else []),
        ],
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # A module's, not the session's: while Playwright runs, other tests in the process can't have an event loop.
    if program() is None:
        pytest.skip(f"there is no browser: none of {', '.join(BROWSERS)} is installed")
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def polls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Polls]:
    """Serve the sample polls and a closed one, from the embedded PostgreSQL."""
    folder = tmp_path_factory.mktemp("journeys")
    with serving(folder) as polls:
        done = command(folder, "psql", "--", "-c", CLOSED_POLL)
        assert done.returncode == 0, done.stderr
        yield polls


@pytest.fixture
def open_page(browser: Browser, polls: Polls) -> Iterator[Open]:
    """Open a page: `open_page("/", width=360, java_script_enabled=False)`.

    Fails at the end if the browser logged an error or a request failed.
    """
    contexts = []
    errors: list[str] = []

    def open_page(address: str, *, width: int = 1280, url: str = polls.url, **options: object) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 800}, **{"locale": "en-GB", **options})  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: errors.append(message.text))
        page.on("requestfailed", lambda request: errors.extend(_failure(request)))
        page.goto(f"{url}{address}")
        return page

    yield open_page
    for context in contexts:
        for page in context.pages:
            _leave_page(page)
        context.close()
    # Browsers also log responses with an error, which tests provoke.
    assert [error for error in errors if not re.search("status of (40[0-9]|429|503)", error)] == []


@pytest.fixture
def cast(polls: Polls) -> Iterator[HTTPConnection]:
    """Yield a connection for other voters' votes."""
    connection = HTTPConnection(polls.url.removeprefix("http://"))
    yield connection
    connection.close()


def _leave_page(page: Page) -> None:
    """Open an empty page: closing a page while it navigates may never finish."""
    try:
        page.goto("about:blank")
    except Error:  # it was reloading, as the results do when their poll is deleted
        page.wait_for_load_state()
        page.goto("about:blank")


def _failure(request: Request) -> list[str]:
    """Return the error of a failed request, unless it was aborted because its page was left."""
    return [] if request.failure == "net::ERR_ABORTED" else [f"failed: {request.url}"]


def wait_until_live(page: Page) -> None:
    expect(page.get_by_text("Live", exact=True)).to_be_visible()


def psql(polls: Polls, statement: str) -> None:
    done = command(Path(polls.log).parent, "psql", "--", "-c", statement)
    assert done.returncode == 0, done.stderr


def violations(page: Page, *rules: str) -> list[str]:
    """Return the accessibility problems that axe finds on the page; with `rules`, by these only."""
    options = {"runOnly": {"type": "rule", "values": rules}} if rules else None
    found = Axe().run(page, options=options).response["violations"]
    return [f"{page.url}: {rule['help']}: {[node['target'] for node in rule['nodes']]}" for rule in found]


def shifts(page: Page) -> list[float]:
    """Return the scores of layout shifts while the page was loading."""
    page.wait_for_load_state("networkidle")
    scores: list[float] = page.evaluate(
        """() => new Promise(resolve => {
            new PerformanceObserver(list => resolve(list.getEntries().map(entry => entry.value)))
                .observe({type: "layout-shift", buffered: true});
            setTimeout(() => resolve([]), 300);
        })"""
    )
    return scores
