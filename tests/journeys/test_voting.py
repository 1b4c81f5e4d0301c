"""Voting in a browser: from the list to the results and back."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.journeys.conftest import NAME, Open, shifts, violations
from tests.support.long_texts import ARABIC, HEBREW, LONG_POLLS, WORD, layout_faults
from tests.support.processes import Polls, command

PAGES = [
    "/",
    "/ask",
    "/poll/1",
    "/poll/1/results",
    "/poll/1/present",
    "/poll/1/share",
    "/poll/7",
    "/poll/7/results",
    "/poll/1/nowhere",
]


RESULTS = re.compile(r"/poll/\d+/results(\?after=\d+)?$")


MANY_CHOICES = """
    WITH added AS (
        INSERT INTO question (question_text, pub_date) VALUES ('Where to?', now() - interval '80 days') RETURNING id
    )
    INSERT INTO choice (question_id, choice_text)
    SELECT id, 'To a place with the number ' || number FROM added, generate_series(1, 15) AS number;
    SELECT max(id) FROM question;
"""
FOCUS_RING = 5  # pixels around the row


def upper_edge(element: Locator) -> float:
    box = element.bounding_box()
    assert box is not None
    return box["y"]


def lower_edge(element: Locator) -> float:
    box = element.bounding_box()
    assert box is not None
    return box["y"] + box["height"]


def votes_in(page: Page) -> int:
    total = page.locator(".total").inner_text()
    return int(total.split()[0].replace(",", ""))


def lightness(element: Locator, name: str) -> float:
    """Return the lightness of a colour: 0 is black, 1 is white."""
    color: str = element.evaluate("(element, name) => getComputedStyle(element)[name]", name)
    return float(color.removeprefix("oklch(").split()[0])


@pytest.mark.parametrize("width", [360, 1280])
def test_a_voter_without_javascript_votes_sees_the_results_and_changes_the_vote(open_page: Open, width: int) -> None:
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
    expect(page.get_by_role("status")).to_have_text("Your vote has been counted.")
    page.reload()
    expect(page.get_by_role("status")).to_have_count(0)

    page.get_by_role("link", name="Change your vote").click()
    expect(page.get_by_label("At the library")).to_be_checked()
    page.get_by_text("In a café").click()
    page.get_by_role("button", name="Change your vote").click()
    expect(page).to_have_url(RESULTS)
    assert votes_in(page) == before + 1
    expect(page.get_by_role("listitem").filter(has_text="your vote")).to_contain_text("In a café")
    expect(page.get_by_role("status")).to_have_text("Your vote has been changed.")


def test_the_list_tells_where_one_voted_and_is_filtered_and_searched_without_javascript(open_page: Open) -> None:
    page = open_page("/poll/1", width=360, java_script_enabled=False)
    page.get_by_label("aiohttp").check()
    page.get_by_role("button", name="Vote").click()
    page.get_by_role("link", name="All polls").click()

    rows = page.get_by_role("main").get_by_role("listitem").filter(has=page.get_by_role("heading", level=2))
    expect(rows.filter(has_text="You voted")).to_have_count(1)
    expect(rows.filter(has_text="You voted")).to_contain_text("Which framework")
    page.get_by_role("navigation", name="By state").get_by_role("link", name="Closed").click()
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("Closed on")
    page.get_by_role("searchbox", name="Search questions and choices").fill("nowhere")
    page.keyboard.press("Enter")
    expect(page.get_by_text("No poll matches “nowhere”.")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.get_by_role("link", name="Show all polls").click()
    expect(rows.filter(has_text="Open since")).to_have_count(5)


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_axe_finds_no_problem_on_a_searched_list_and_one_without_polls(open_page: Open, color_scheme: str) -> None:
    for address in ("/?q=e&state=open", "/?q=nowhere"):
        assert violations(open_page(address, width=360, color_scheme=color_scheme)) == []


def test_a_voter_can_use_the_keyboard_only(open_page: Open) -> None:
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
    expect(page.get_by_role("status")).to_have_text("Your vote has been counted.")
    page.go_back()
    page.go_forward()
    expect(page).to_have_url(re.compile(r"/poll/1/results$"))
    expect(page.get_by_role("status")).to_have_count(0)


@pytest.mark.parametrize("text_size", [16, 32])
def test_on_a_phone_the_button_of_a_long_poll_stays_in_reach_and_covers_nothing(
    open_page: Open, polls: Polls, text_size: int
) -> None:
    poll = command(polls.log.parent, "psql", "--", "-qAt", "-c", MANY_CHOICES).stdout.strip()
    page = open_page(f"/poll/{poll}", width=360)
    page.evaluate("size => document.documentElement.style.fontSize = `${size}px`", text_size)
    button, bar = page.get_by_role("button", name="Vote"), page.locator(".submit")
    expect(button).not_to_be_in_viewport()

    page.get_by_role("radio").first.check()
    expect(button).to_be_in_viewport(ratio=1)
    for _ in range(14):
        page.keyboard.press("ArrowDown")
        row = page.locator(".choice:has(:focus)")
        expect(row).to_be_in_viewport(ratio=1)
        assert lower_edge(row) + FOCUS_RING <= upper_edge(bar)

    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    assert lower_edge(page.locator(".choice").last) <= upper_edge(button)
    assert lower_edge(bar) <= upper_edge(page.get_by_role("link", name="Results"))


def test_a_vote_in_a_poll_that_has_just_closed_shows_that_it_is_closed(open_page: Open, polls: Polls) -> None:
    page = open_page("/poll/7", width=360)
    expect(page.get_by_role("radio")).to_have_count(0)

    page.evaluate(
        """() => {
            document.body.innerHTML = '<form method="post" action="/poll/7/vote"><button name="choice" value="24">';
            document.querySelector("button").click();
        }"""
    )

    expect(page.get_by_role("alert")).to_contain_text("Your vote was not counted: this poll closed on")
    assert violations(page) == []
    page.get_by_role("link", name="Results").click()
    expect(page).to_have_url(f"{polls.url}/poll/7/results")


def test_question_choices_and_button_have_accessible_names(open_page: Open) -> None:
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
    """On hosts other than loopback, browsers send no Sec-Fetch-Site over plain HTTP."""
    page = open_page("/poll/1", url=polls.url.replace("127.0.0.1", NAME), width=360)

    page.get_by_label("aiohttp").check()
    page.get_by_role("button", name="Vote").click()

    expect(page).to_have_url(re.compile(r"/poll/1/results$"))


def test_changing_the_language_stays_on_the_page(open_page: Open) -> None:
    page = open_page("/poll/1/results", java_script_enabled=False)

    page.get_by_role("link", name="简体中文").click()

    expect(page).to_have_url(re.compile(r"/poll/1/results$"))
    expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")
    expect(page.get_by_role("link", name="投票", exact=True)).to_be_visible()


def test_a_chinese_browser_gets_chinese_pages(open_page: Open) -> None:
    page = open_page("/", locale="zh-CN")

    expect(page.get_by_role("heading", level=1)).to_have_text("最新投票")


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("address", PAGES)
def test_axe_finds_no_problem(open_page: Open, address: str, width: int, color_scheme: str) -> None:
    page = open_page(address, width=width, color_scheme=color_scheme)

    assert violations(page) == []


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_no_problem_after_voting(open_page: Open, width: int, color_scheme: str) -> None:
    page = open_page("/poll/3", width=width, color_scheme=color_scheme)
    page.get_by_label("The sky").check()
    page.get_by_role("button", name="Vote").click()
    expect(page.get_by_text("your vote", exact=True)).to_be_visible()
    assert violations(page) == []

    page.get_by_role("link", name="Change your vote").click()
    expect(page.get_by_role("button", name="Change your vote")).to_be_visible()
    assert violations(page) == []


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_axe_finds_no_problem_on_a_form_with_an_error(open_page: Open, color_scheme: str) -> None:
    page = open_page("/poll/1", width=360, color_scheme=color_scheme)
    page.get_by_role("button", name="Vote").click()
    expect(page.get_by_role("alert")).to_be_visible()

    assert violations(page) == []


def test_text_has_a_contrast_of_seven_to_one_where_more_contrast_is_preferred(open_page: Open, polls: Polls) -> None:
    page = open_page("/", contrast="more")

    for address in ("/", "/poll/3", "/poll/3/results", "/poll/3/present"):
        page.goto(polls.url + address)
        for color_scheme in ("light", "dark"):
            page.emulate_media(color_scheme=color_scheme)  # type: ignore[arg-type]
            assert violations(page, "color-contrast-enhanced") == []


def test_on_paper_pages_are_light_have_no_controls_and_say_their_url_and_the_time(
    open_page: Open, polls: Polls
) -> None:
    page = open_page("/", color_scheme="dark")

    for address in ("/", "/poll/3", "/poll/3/results", "/poll/3/present"):
        page.goto(polls.url + address)
        page.wait_for_load_state("networkidle")

        pdf = page.pdf()  # calls the listeners of beforeprint

        assert pdf.count(b"/Type /Page\n") == 1
        page.emulate_media(media="print")
        note = page.locator(".printed-from")
        expect(note).to_be_visible()
        expect(note).to_have_text(re.compile(rf"^{re.escape(page.url)} · \d+ \w+ 20\d\d at \d\d:\d\d"))
        controls = "button:visible, nav:visible, .row:visible, .controls:visible, .refresh:visible"
        expect(page.locator(controls)).to_have_count(0)
        assert lightness(page.locator("h1"), "color") < 0.3
        page.emulate_media(media="screen")


def test_with_forced_colors_edges_bars_the_leader_and_the_selected_choice_are_visible(
    open_page: Open, polls: Polls
) -> None:
    page = open_page("/poll/3", forced_colors="active")

    def style(selector: str, name: str) -> str:
        value: str = page.locator(selector).first.evaluate("(element, name) => getComputedStyle(element)[name]", name)
        return value

    page.get_by_label("The sky").check()
    assert style("form .button", "borderTopWidth") != "0px"
    assert style(".choice:has(:checked)", "borderTopColor") != style(".choice:not(:has(:checked))", "borderTopColor")

    page.get_by_role("button", name="Vote").click()
    bars = (".leads .fill", ".result:not(.leads) .fill", ".track")
    assert len({style(bar, "fill") for bar in bars}) == 3

    page.goto(f"{polls.url}/poll/3/present")
    assert style(".qr", "backgroundColor") == "rgb(255, 255, 255)"


@pytest.mark.parametrize("width", [320, 360, 1280])
@pytest.mark.parametrize("address", PAGES)
def test_no_page_scrolls_horizontally(open_page: Open, address: str, width: int) -> None:
    page = open_page(address, width=width)

    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("address", PAGES)
def test_touch_targets_are_44_pixels_high(open_page: Open, address: str) -> None:
    page = open_page(address, width=360)
    if "results" in address or "present" in address:
        expect(page.locator(".is-live, .is-final").first).to_be_visible()

    for target in page.locator("a:visible:not(.skip), button:visible, label:visible:not(.field > label)").all():
        box = target.bounding_box()
        assert box is not None
        assert round(box["height"], 1) >= 44, target.inner_text()


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("address", PAGES)
def test_no_layout_shifts_while_loading(open_page: Open, address: str, width: int) -> None:
    page = open_page(address, width=width)

    assert shifts(page) == []


@pytest.fixture(scope="module")
def long_poll(polls: Polls) -> str:
    """The path of a poll with long texts."""
    done = command(Path(polls.log).parent, "psql", "--", "-qAt", "-c", LONG_POLLS)
    assert done.returncode == 0, done.stderr
    return f"/poll/{int(done.stdout) - 1}"


@pytest.mark.parametrize(("width", "text_size"), [(360, "100%"), (360, "200%"), (1280, "100%")])
def test_long_texts_neither_scroll_sideways_nor_break_letter_by_letter(
    open_page: Open, polls: Polls, long_poll: str, width: int, text_size: str
) -> None:
    page = open_page(f"/?q={WORD}", width=width)
    expect(page.get_by_text(WORD)).to_be_visible()
    assert layout_faults(page, text_size) == []

    for address in (long_poll, f"{long_poll}/results"):
        page.goto(f"{polls.url}{address}")
        assert layout_faults(page, text_size) == []


def test_texts_have_their_own_direction_and_figures_keep_their_side(open_page: Open, long_poll: str) -> None:
    page = open_page(f"{long_poll}/results", width=360)

    directions = page.locator("main [dir=auto]").evaluate_all(
        "elements => elements.map(element => [element.textContent, getComputedStyle(element).direction])"
    )
    assert {text for text, direction in directions if direction == "rtl"} == {ARABIC, HEBREW}
    sides = page.locator(".result").evaluate_all(
        """rows => rows.map(row => {
            const [text, share, line] = [".name", ".share", ""].map(
                name => (name ? row.querySelector(name) : row).getBoundingClientRect());
            return [text.left - line.left, line.right - share.right].map(Math.round);
        })"""
    )
    assert sides == [[0, 0]] * 4
