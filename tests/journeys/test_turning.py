"""Pages of a poll that hides its results, in a browser: they turn by themselves when that changes."""

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest
from playwright.sync_api import Page, WebSocket, expect

from tests.journeys.conftest import Open, psql, violations
from tests.support.processes import Polls
from tests.support.watchers import vote

RESULTS, SCREEN, BALLOT = (f"/poll/700/{name}" for name in ("results", "present", "ballot"))
SHOWN, HIDDEN = "The results are shown now.", "The results are hidden now."


@pytest.fixture
def poll(polls: Polls) -> Iterator[None]:
    """A poll without votes, whose results are shown from three votes on."""
    psql(
        polls,
        """
        INSERT INTO question (id, question_text, pub_date) VALUES (700, 'Where to?', now());
        INSERT INTO choice (id, question_id, choice_text) VALUES (7001, 700, 'North'), (7002, 700, 'South');
        INSERT INTO poll_settings (question_id, results_from) VALUES (700, 3)
        """,
    )
    yield
    psql(polls, "DELETE FROM question WHERE id = 700")


def messages(page: Page) -> list[dict[str, Any]]:
    """Load the page again, and return the messages about the poll that its WebSockets receive from now on."""
    received: list[dict[str, Any]] = []

    def add(frame: str | bytes) -> None:
        received.extend([message] if "revision" in (message := json.loads(frame)) else [])

    def follow(socket: WebSocket) -> None:
        socket.on("framereceived", add)

    page.on("websocket", follow)
    page.reload()
    return received


def is_live(page: Page) -> None:
    expect(page.locator(".is-live")).to_be_visible()


def shows_counts(page: Page) -> bool:
    return page.locator("[data-choice]").count() > 0


def has_said(page: Page, sentence: str) -> None:
    """Wait until the page has told screen readers, and check that it doesn't after another reload."""
    expect(page.locator("[data-announcer]")).to_have_text(sentence, timeout=10_000)
    assert page.evaluate("sessionStorage.getItem('turned')") is None


@pytest.mark.usefixtures("poll")
def test_pages_turn_with_the_vote_that_was_missing_and_with_an_edit(
    open_page: Open, polls: Polls, cast: HTTPConnection
) -> None:
    voter = open_page("/poll/700", width=360)
    voter.get_by_label("North").check()
    voter.get_by_role("button", name="Vote").click()
    expect(voter).to_have_url(polls.url + BALLOT)
    pages = [open_page(RESULTS), open_page(SCREEN), voter]
    received = [messages(page) for page in pages]
    without_script = open_page(RESULTS, java_script_enabled=False)
    for page in pages:
        is_live(page)

    vote(cast, 700, 7001)
    for page in pages:
        expect(page.locator(".turnout")).to_have_text("2 of 3 votes")
        assert page.locator("progress").evaluate("bar => bar.value") == 2
        assert not shows_counts(page)
    without_script.reload()
    expect(without_script.locator(".turnout")).to_have_text("2 of 3 votes")
    assert violations(pages[1]) == violations(voter) == []

    third = vote(cast, 700, 7002)
    for page in pages:
        has_said(page, SHOWN)
    for page in (*pages[:2], without_script):
        page.reload()
        expect(page.locator("[data-choice='7001'] .votes")).to_have_text("2 votes")
    expect(voter.get_by_role("link", name="Results")).to_be_visible()
    for message in (message for each in received for message in each):
        assert (message["choices"] is None) is (message["revision"] < third)

    for page in pages[:2]:
        is_live(page)
        page.evaluate("sessionStorage.removeItem('reloaded')")  # or it would wait for longer now
    psql(polls, "UPDATE poll_settings SET results = 'owner' WHERE question_id = 700")
    for page in pages[:2]:
        expect(page.locator("[data-choice]")).to_have_count(0, timeout=1_000)  # before it is loaded again
    for page in pages:
        has_said(page, HIDDEN)
        expect(page.get_by_text("Only the owner of this poll sees the results.")).to_be_visible()
        assert not shows_counts(page)


@pytest.mark.usefixtures("poll")
def test_pages_turn_at_the_end(open_page: Open, polls: Polls, cast: HTTPConnection) -> None:
    vote(cast, 700, 7001)
    psql(polls, "UPDATE poll_settings SET results = 'after_close', results_from = 0 WHERE question_id = 700")
    psql(polls, "UPDATE question SET closes_at = clock_timestamp() + interval '5 seconds' WHERE id = 700")
    pages = [open_page(path, locale=locale) for path, locale in ((RESULTS, "en-GB"), (SCREEN, "zh-CN"))]
    received = [messages(page) for page in pages]
    for page in pages:
        is_live(page)
        before = shows_counts(page)
        assert not before or any(message["closed"] for each in received for message in each)

    for page, sentence in zip(pages, (SHOWN, "结果现已公布。"), strict=True):
        has_said(page, sentence)
        expect(page.locator("[data-choice='7001'] .leader-label")).to_be_visible()
    expect(pages[0].get_by_role("heading", name="Final result")).to_be_visible()
    for each in received:
        assert [message["closed"] for message in each][:2] == [False, True]
        assert all((message["choices"] is None) is not message["closed"] for message in each)
