"""From the list to the results and back, as voters go."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import NAME, Open, shifts, violations
from tests.support.processes import Polls

PAGES = ["/", "/poll/1", "/poll/1/results", "/poll/1/present", "/poll/4", "/poll/4/results", "/nowhere"]


RESULTS = re.compile(r"/poll/\d+/results(\?after=\d+)?$")


def votes_in(page: Page) -> int:
    total = page.locator(".total").inner_text()
    return int(total.split()[0].replace(",", ""))


@pytest.mark.parametrize("width", [360, 1280])
def test_without_javascript_a_voter_finds_a_poll_votes_sees_the_results_and_changes_the_vote(
    open_page: Open, width: int
) -> None:
    page = open_page("/", width=width, java_script_enabled=False)

    page.get_by_role("link", name="Where should the next meet-up take place?").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Where should the next meet-up take place?")

    page.get_by_role("button", name="Vote").click()
    expect(page.get_by_role("alert")).to_have_text("You didn't select a choice.")

    before = votes_in(open_page("/poll/2/results", java_script_enabled=False))
    page.get_by_label("At the library").check()
    page.get_by_role("button", name="Vote").click()
    expect(page).to_have_url(RESULTS)
    assert votes_in(page) == before + 1
    expect(page.get_by_role("listitem").filter(has_text="your vote")).to_contain_text("At the library")

    page.get_by_role("link", name="Change your vote").click()
    expect(page.get_by_label("At the library")).to_be_checked()
    page.get_by_text("In a café").click()
    page.get_by_role("button", name="Change your vote").click()
    expect(page).to_have_url(RESULTS)
    assert votes_in(page) == before + 1
    expect(page.get_by_role("listitem").filter(has_text="your vote")).to_contain_text("In a café")


def test_a_voter_needs_no_more_than_a_keyboard(open_page: Open) -> None:
    page = open_page("/poll/1")

    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.get_by_role("radio").nth(0)).to_be_checked()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("radio").nth(1)).to_be_checked()
    page.keyboard.press("Enter")

    expect(page).to_have_url(re.compile(r"/poll/1/results$"))


def test_who_votes_in_a_poll_that_has_closed_meanwhile_is_told_so(open_page: Open, polls: Polls) -> None:
    page = open_page("/poll/4", width=360)
    expect(page.get_by_role("radio")).to_have_count(0)

    page.evaluate(
        """() => {
            document.body.innerHTML = '<form method="post" action="/poll/4/vote"><button name="choice" value="13">';
            document.querySelector("button").click();
        }"""
    )

    expect(page.get_by_role("alert")).to_contain_text("This poll closed on")
    page.get_by_role("link", name="Results").click()
    expect(page).to_have_url(f"{polls.url}/poll/4/results")


def test_a_screen_reader_hears_question_choices_and_button(open_page: Open) -> None:
    page = open_page("/poll/3")

    group = page.get_by_role("group", name="What's new?")
    expect(group.get_by_role("radio")).to_have_count(3)
    for name in ("Not much", "The sky", "Just hacking again"):
        expect(group.get_by_role("radio", name=name)).to_be_visible()
    expect(page.get_by_role("button", name="Vote")).to_be_visible()
    expect(page.get_by_role("banner")).to_be_visible()
    expect(page.get_by_role("main")).to_be_visible()
    expect(page.get_by_role("contentinfo")).to_be_visible()


def test_a_phone_on_a_plain_http_network_can_vote(open_page: Open, polls: Polls) -> None:
    """On a name that is not loopback, browsers say less about where a request comes from."""
    page = open_page("/poll/1", url=polls.url.replace("127.0.0.1", NAME), width=360)

    page.get_by_label("aiohttp").check()
    page.get_by_role("button", name="Vote").click()

    expect(page).to_have_url(re.compile(r"/poll/1/results$"))


def test_a_visitor_changes_the_language_and_stays_where_they_were(open_page: Open) -> None:
    page = open_page("/poll/1/results", java_script_enabled=False)

    page.get_by_role("link", name="简体中文").click()

    expect(page).to_have_url(re.compile(r"/poll/1/results$"))
    expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")
    expect(page.get_by_role("link", name="投票", exact=True)).to_be_visible()


def test_a_chinese_browser_gets_chinese_pages(open_page: Open) -> None:
    page = open_page("/", locale="zh-CN")

    expect(page.get_by_role("heading", level=1)).to_have_text("最新投票")


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("address", PAGES)
def test_axe_finds_nothing(open_page: Open, address: str, width: int, colours: str) -> None:
    page = open_page(address, width=width, color_scheme=colours)

    assert violations(page) == []


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_nothing_on_the_pages_of_somebody_who_has_voted(open_page: Open, width: int, colours: str) -> None:
    page = open_page("/poll/3", width=width, color_scheme=colours)
    page.get_by_label("The sky").check()
    page.get_by_role("button", name="Vote").click()
    expect(page.get_by_text("your vote", exact=True)).to_be_visible()
    assert violations(page) == []

    page.get_by_role("link", name="Change your vote").click()
    expect(page.get_by_role("button", name="Change your vote")).to_be_visible()
    assert violations(page) == []


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_nothing_after_a_mistake(open_page: Open, colours: str) -> None:
    page = open_page("/poll/1", width=360, color_scheme=colours)
    page.get_by_role("button", name="Vote").click()
    expect(page.get_by_role("alert")).to_be_visible()

    assert violations(page) == []


@pytest.mark.parametrize("width", [320, 360, 1280])
@pytest.mark.parametrize("address", PAGES)
def test_nothing_hangs_out_of_the_page(open_page: Open, address: str, width: int) -> None:
    page = open_page(address, width=width)

    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("address", PAGES)
def test_everything_that_a_thumb_must_hit_is_44_pixels_high(open_page: Open, address: str) -> None:
    page = open_page(address, width=360)
    if "results" in address or "present" in address:
        expect(page.locator(".is-live")).to_be_visible()

    for target in page.locator("a:visible:not(.skip), button:visible, label:visible").all():
        box = target.bounding_box()
        assert box is not None
        assert round(box["height"], 1) >= 44, target.inner_text()


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("address", PAGES)
def test_nothing_on_a_page_moves_while_it_loads(open_page: Open, address: str, width: int) -> None:
    page = open_page(address, width=width)

    assert shifts(page) == []
