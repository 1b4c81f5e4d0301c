"""Dates: how far away they are, kept true, and the time in the visitor's own zone."""

import re
import urllib.request
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.journeys.conftest import Open, shifts
from tests.support.pages import find, parse, words
from tests.support.processes import Polls, command, serving

# {id of a poll: after what time it closes}
POLLS = {101: "30 minutes", 102: "170 minutes", 103: "27 hours", 104: "20 days", 105: "-4 days", 106: "-2 years"}


@pytest.fixture(scope="module")
def polls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Polls]:
    folder = tmp_path_factory.mktemp("dates")
    statements = [
        f"INSERT INTO question (id, question_text, pub_date, closes_at)"
        f" VALUES ({number}, 'Tea?', now() - interval '3 years', now() + interval '{distance}');"
        f" INSERT INTO choice (question_id, choice_text) VALUES ({number}, 'Yes');"
        for number, distance in POLLS.items()
    ]
    with serving(folder) as polls:
        done = command(folder, "psql", "--", "-c", "".join(statements))
        assert done.returncode == 0, done.stderr
        yield polls


def without_script(url: str, language: str) -> str:
    """Return what a poll's page says about its end, as the server wrote it."""
    request = urllib.request.Request(url, headers={"Accept-Language": language})
    with urllib.request.urlopen(request, timeout=10) as response:
        page = parse(response.read().decode())
    return next(words(paragraph) for paragraph in find(page, "p") if find(paragraph, "time"))


@pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
def test_the_words_of_the_script_are_those_of_the_server(open_page: Open, polls: Polls, locale: str) -> None:
    page = open_page("/", locale=locale, timezone_id="UTC")

    for number in POLLS:
        page.goto(f"{polls.url}/poll/{number}")
        by_server = without_script(page.url, locale)
        by_script = page.locator("p:has(time)").inner_text()
        if number == 101:  # in minutes only while a script keeps them true
            assert re.search(r"UTC ?[.。]$", by_server)
            assert re.search(r"UTC(?: \(in \d\d minutes\)\.|（\d\d分钟后）。)$", by_script)
        else:
            assert by_script == by_server
            assert re.search(r"UTC(?: \(.+\)\.|（.+）.*。)$", by_server)


def test_the_visitors_own_time_is_added_before_anything_is_visible(open_page: Open) -> None:
    page = open_page("/poll/102", timezone_id="Asia/Kathmandu", width=360)

    expect(page.locator(".relative-time")).to_have_text(re.compile(r"^ \(in 3 hours · .*\d\d:\d\d your time\)$"))
    assert shifts(page) == []


def test_words_stay_true_on_a_page_that_stays_open(browser: Browser, polls: Polls) -> None:
    with browser.new_context(locale="en-GB", timezone_id="UTC") as context:
        page = context.new_page()
        page.clock.install()
        page.goto(f"{polls.url}/poll/102")
        note = page.locator(".relative-time")
        expect(note).to_have_text("(in 3 hours)")

        page.clock.fast_forward("02:20:00")
        expect(note).to_have_text(re.compile(r"^ \(in [23]\d minutes\)$"))
        page.clock.fast_forward("00:40:00")
        expect(note).to_have_text(re.compile(r"^ \(1\d minutes ago\)$"))
