"""The presenter's page in a browser."""

import re
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.journeys.conftest import Open, psql, violations, wait_until_live
from tests.support.big_screen import screen_faults
from tests.support.processes import Polls
from tests.support.watchers import vote

PRESENTER = "/poll/3/present"
SIZES = [(1024, 768), (1280, 720), (1366, 768), (1920, 1080), (2560, 1440), (3840, 2160)]
ROWS = [2, 4, 8, 9, 20, 40]  # 4, 9 and 20 with long texts
FIRST = 100  # id of the first of these polls; the choices of poll 100 are 10001, 10002...
FORTY = FIRST + ROWS.index(40)

POLLS_TO_PRESENT = f"""
    CREATE TEMPORARY TABLE shown ON COMMIT DROP AS
    SELECT {FIRST - 1} + nr AS poll, count, count IN (4, 9, 20) AS is_long
    FROM unnest(ARRAY{ROWS}) WITH ORDINALITY AS rows (count, nr);

    INSERT INTO question (id, question_text, pub_date) OVERRIDING SYSTEM VALUE
    SELECT poll, CASE WHEN is_long THEN left(repeat('Which of all these plans ', 9), 200) ELSE 'Which town?' END, now()
    FROM shown;

    INSERT INTO choice (id, question_id, choice_text, votes) OVERRIDING SYSTEM VALUE
    SELECT 100 * poll + nr, poll,
        CASE WHEN NOT is_long THEN 'Town no. ' || nr
             WHEN nr % 2 = 0 THEN left('No. ' || nr || repeat(', for all who want it', 10), 200)
             ELSE '第' || nr || '：' || repeat('我们在会议上讨论过的那个方案', 8)
        END,
        nr * 37 % 41
    FROM shown, generate_series(1, count) AS nr;

    INSERT INTO poll_settings (question_id, method, most_marks, most_points, budget, lowest_label, highest_label)
    SELECT poll, method, NULL, most_points, budget, lowest_label, highest_label
    FROM shown JOIN (VALUES
        (4, 'score', 10, NULL, 'no, never, not at all', 'yes, as soon as we can'),
        (8, 'dots', 10, 10, '', ''),
        (9, 'multiple', NULL, NULL, '', ''),
        (20, 'score', 10, NULL, 'no', 'yes')
    ) AS methods (count, method, most_points, budget, lowest_label, highest_label) USING (count);
    UPDATE choice SET points = 3 * votes
    FROM poll_settings JOIN shown ON poll = question_id
    WHERE choice.question_id = poll AND most_points IS NOT NULL;
    UPDATE question SET ballots = 50 FROM shown WHERE id = poll;
"""


@pytest.fixture(scope="module")
def polls_to_present(polls: Polls) -> None:
    psql(polls, f"BEGIN; {POLLS_TO_PRESENT} COMMIT")


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(color_scheme="light")
    yield context
    context.close()


def names(page: Page) -> list[str]:
    return page.locator(".result:visible .name").all_inner_texts()


@pytest.mark.usefixtures("polls_to_present")
def test_every_poll_fits_on_every_screen_also_when_votes_arrive(context: BrowserContext, polls: Polls) -> None:
    pages = {count: context.new_page() for count in ROWS}
    found = []
    for poll, (count, page) in enumerate(pages.items(), FIRST):
        page.goto(f"{polls.url}/poll/{poll}/present")
        wait_until_live(page)
        found += [fault for size in SIZES for fault in screen_faults(page, *size, count)]

    psql(
        polls,
        f"""
        UPDATE choice SET votes = 1234567 * (votes + 1), points = 1234567 * points WHERE question_id >= {FIRST};
        UPDATE question SET ballots = 62345678 WHERE id >= {FIRST}
        """,
    )
    for count, page in pages.items():
        expect(page.locator(".total")).to_have_text(re.compile(r",\d{3},"))  # millions
        found += [fault for size in (SIZES[0], SIZES[-1]) for fault in screen_faults(page, *size, count)]

    assert found == []


@pytest.mark.usefixtures("polls_to_present")
def test_every_poll_fits_on_every_screen_without_javascript(browser: Browser, polls: Polls) -> None:
    page = browser.new_page(java_script_enabled=False)
    found = []
    for poll, count in enumerate(ROWS, FIRST):
        page.goto(f"{polls.url}/poll/{poll}/present")
        found += [fault for size in (SIZES[0], SIZES[3]) for fault in screen_faults(page, *size, count)]
    page.close()

    assert found == []


@pytest.mark.usefixtures("polls_to_present")
def test_of_many_choices_it_shows_the_leading_ones_but_not_who_leads_while_results_are_hidden(
    open_page: Open, polls: Polls
) -> None:
    page = open_page(f"/poll/{FORTY}/present")
    wait_until_live(page)
    expect(page.get_by_role("link", name="and 20 more")).to_be_visible()

    psql(polls, f"UPDATE choice SET votes = 10 * votes WHERE id = {100 * FORTY + 40}")
    expect(page.locator(".result").first).to_contain_text("Town no. 40 leads")
    after = names(page)
    page.keyboard.press("h")
    hidden = names(page)
    page.reload()
    hidden_after_reload = names(page)
    page.keyboard.press("h")

    assert hidden == hidden_after_reload == [f"Town no. {number}" for number in range(1, 21)]
    assert names(page) == after == names(open_page(f"/poll/{FORTY}/present", java_script_enabled=False))


def test_it_is_dark_until_it_is_switched_and_remembers_that(context: BrowserContext, polls: Polls) -> None:
    def background(page: Page) -> str:
        color: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return color

    page = context.new_page()
    page.goto(f"{polls.url}/poll/3/results")
    light = background(page)
    page.goto(f"{polls.url}{PRESENTER}")
    dark = background(page)

    page.get_by_role("button", name="Light background").click()
    switched = background(page)
    other = context.new_page()
    other.goto(f"{polls.url}/poll/1/present")

    assert dark != light
    assert switched == background(other) == light


def test_results_are_hidden_on_this_screen_only_and_it_says_so(open_page: Open, cast: HTTPConnection) -> None:
    page = open_page(PRESENTER)
    wait_until_live(page)
    row = page.get_by_role("listitem").filter(has_text="Just hacking again")
    before = row.locator(".votes").inner_text()
    vote(cast, 3, 12)
    expect(row.locator(".votes")).not_to_have_text(before)
    note = page.get_by_text("The results are hidden on this screen.")
    expect(note).to_be_hidden()

    page.keyboard.press("h")
    button = page.get_by_role("button", name="Hide results on this screen")
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(button).to_have_accessible_description("Voters still see the results on their own screens.")
    expect(note).to_be_visible()
    for part in (".votes", ".share", ".fill"):
        expect(row.locator(part)).not_to_be_visible()
    assert page.locator(".leader-label").first.bounding_box() is None  # its place would tell who leads
    expect(page.locator(".total")).to_be_visible()
    page.reload()
    expect(row.locator(".votes")).not_to_be_visible()

    button.click()
    expect(row.locator(".votes")).to_be_visible()


def test_it_can_be_full_screen(open_page: Open) -> None:
    page = open_page(PRESENTER)

    page.keyboard.press("f")
    page.wait_for_function("document.fullscreenElement !== null")
    page.keyboard.press("f")
    page.wait_for_function("document.fullscreenElement === null")


def test_its_keys_can_be_turned_off(open_page: Open) -> None:
    page = open_page(PRESENTER)
    hide = page.get_by_role("button", name="Hide results")

    page.get_by_role("button", name="Turn off the keys F and H").click()
    page.keyboard.press("h")
    expect(hide).to_have_attribute("aria-pressed", "false")
    page.reload()
    page.keyboard.press("h")
    expect(hide).to_have_attribute("aria-pressed", "false")

    page.get_by_role("button", name="Turn off the keys F and H").click()
    page.keyboard.press("h")
    expect(hide).to_have_attribute("aria-pressed", "true")


def test_without_javascript_it_has_no_buttons(open_page: Open) -> None:
    page = open_page(PRESENTER, java_script_enabled=False)

    expect(page.get_by_role("button")).to_have_count(0)
    expect(page.get_by_role("link", name="Refresh")).to_be_visible()


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_no_problem(open_page: Open, width: int, color_scheme: str) -> None:
    page = open_page(PRESENTER, width=width)
    wait_until_live(page)
    if color_scheme == "light":
        page.get_by_role("button", name="Light background").click()

    assert violations(page) == []
