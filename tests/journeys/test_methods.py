"""Voting by each method in a browser: with and without JavaScript, with the keyboard, on a phone, in both languages."""

import re
from http.client import HTTPConnection

import pytest
from playwright.sync_api import expect

from tests.journeys.conftest import Open, violations, wait_until_live
from tests.journeys.methods import CHANGE, VOTE, Paths, count_of, create_polls, mark, marked, score
from tests.support.processes import Polls
from tests.support.watchers import vote

# In the order of their ids: several answers within limits, as many as one likes, scores to 5 and to 10, dots.


@pytest.fixture(scope="module")
def paths(polls: Polls) -> Paths:
    """Return {name: path of a poll}."""
    return create_polls(polls)


@pytest.mark.parametrize(
    ("name", "first", "second", "locale", "has_javascript", "watched"),
    [
        ("several", (1, 1, 0), (0, 1, 1), "en-GB", True, "results"),
        ("several", (1, 1, 0), (0, 1, 1), "zh-CN", False, "present"),
        ("scores to 5", (5, 0), (1, 4), "en-GB", True, "results"),
        ("scores to 5", (5, 0), (1, 4), "zh-CN", False, "present"),
        ("dots", (3, 2, 0), (1, 0, 3), "zh-CN", True, "present"),
        ("dots", (3, 2, 0), (1, 0, 3), "en-GB", False, "results"),
    ],
)
def test_a_vote_by_each_method_is_changed_on_a_phone_and_counted_live_also_on_the_big_screen(
    open_page: Open,
    paths: Paths,
    name: str,
    first: tuple[int, ...],
    second: tuple[int, ...],
    locale: str,
    has_javascript: bool,
    watched: str,
) -> None:
    watcher = open_page(f"{paths[name]}/{watched}")
    wait_until_live(watcher)
    if watched == "present":
        assert violations(watcher) == []
    before = count_of(watcher, 1)
    page = open_page(paths[name], width=360, locale=locale, java_script_enabled=has_javascript)

    mark(page, name, *first)
    page.get_by_role("button", name=VOTE).click()
    expect(page.get_by_text("Bring a cup.")).to_be_visible()
    expect(page.locator(".own-vote")).to_have_count(2)

    page.get_by_role("link", name=CHANGE).click()
    marked(page, name, *first)
    mark(page, name, *second)
    page.get_by_role("button", name=CHANGE).click()
    expect(page.get_by_role("status")).to_be_visible()
    expected = before + (second[1] > 0)
    expect(watcher.locator(".result .votes").nth(1)).to_have_text(re.compile(rf"^{expected}\b"))
    expect(watcher.locator(".share")).to_have_text(page.locator(".share").all_inner_texts())
    page.get_by_role("link", name=CHANGE).click()
    marked(page, name, *second)


# (name of a poll, locale, form of a vote for the first and the third choice, what is announced)
ANNOUNCED = [
    (
        "any number",
        "en-GB",
        "choice={}&choice={}",
        r"\d+ voters? in all\. Leading: Green tea and شاي بالنعناع with 100% of voters",
    ),
    ("scores to 10", "zh-CN", "points.{}=2&points.{}=7", r"共 \d+ 人投票\. 领先：.+，平均 \d\.\d+"),
    (
        "scores to 5",
        "en-GB",
        "points.{}=4&points.{}=5",
        r"\d+ voters? in all\. Leading: .+ with \d\.\d+ on average",
    ),
    (
        "dots",
        "en-GB",
        "points.{}=2&points.{}=3",
        r"\d+ points in all, from \d+ voters?\. Leading: .+ with \d+(\.\d)?% of points",
    ),
]


def test_live_results_of_each_method_are_announced_in_its_words(
    open_page: Open, cast: HTTPConnection, paths: Paths
) -> None:
    pages = [open_page(f"{paths[name]}/results", width=360, locale=locale) for name, locale, *_ in ANNOUNCED]
    for page, (name, _, form, _) in zip(pages, ANNOUNCED, strict=True):
        expect(page.locator(".is-live")).to_be_visible()
        first, _, third, _ = page.locator("[data-choice]").evaluate_all("rows => rows.map(row => row.dataset.choice)")
        vote(cast, int(paths[name].rpartition("/")[2]), form=form.format(first, third))

    for page, (*_, sentence) in zip(pages, ANNOUNCED, strict=True):
        expect(page.locator("[data-announcer]")).to_have_text(re.compile(f"^{sentence}$"), timeout=10_000)


def test_the_distribution_of_scores_is_accessible_fits_and_says_when_later_votes_come_in(
    open_page: Open, cast: HTTPConnection, paths: Paths
) -> None:
    page = open_page(paths["scores to 10"], width=360, color_scheme="dark")
    score(page, 0, 10).check()
    score(page, 1, 0).check()
    page.get_by_role("button", name="Vote").click()

    page.get_by_text("How the scores are distributed").click()
    table = page.get_by_role("table", name="Green tea")
    expect(table.get_by_role("row", name=re.compile("^10 "))).to_have_accessible_name(re.compile("^10 [1-9]"))
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    later = page.get_by_text("The results above may include later votes.")
    expect(later).to_be_hidden()
    wait_until_live(page)
    choice = page.locator("[data-choice]").first.get_attribute("data-choice")
    vote(cast, int(page.url.split("/")[4]), form=f"points.{choice}=1")
    expect(later).to_be_visible()


def test_every_method_can_be_voted_and_changed_with_the_keyboard(open_page: Open, polls: Polls, paths: Paths) -> None:
    page = open_page(paths["several"])

    def press(*keys: str) -> None:
        for key in keys:
            page.keyboard.press(key)

    def change() -> None:
        expect(page.get_by_role("status").first).to_have_text("Your vote has been counted.")
        page.get_by_role("link", name="Change your vote").press("Enter")

    page.get_by_role("checkbox").first.focus()
    press("Space", "Tab", "Space", "Enter")
    change()
    page.get_by_role("checkbox").first.focus()
    press("Space", "Tab", "Tab", "Space", "Enter")
    expect(page.get_by_role("status").first).to_have_text("Your vote has been changed.")
    expect(page.locator(".own-vote")).to_have_count(2)

    page.goto(polls.url + paths["scores to 5"])
    score(page, 0, 6).focus()  # no opinion, which is selected
    press("ArrowLeft")
    press("Tab")
    expect(score(page, 1, 6)).to_be_focused()
    press("Enter")
    change()
    expect(score(page, 0, 5)).to_be_checked()
    score(page, 0, 5).focus()
    press("ArrowLeft", "Enter")
    expect(page.locator(".own-vote")).to_have_text(["your vote: 4"])

    page.goto(polls.url + paths["dots"])
    page.get_by_role("spinbutton").first.focus()
    press("ArrowUp", "ArrowUp", "Tab", "1", "Enter")
    change()
    marked(page, "dots", 2, 1)
    page.get_by_role("spinbutton").first.focus()
    press("ArrowUp", "Tab", "Delete", "Enter")
    expect(page.locator(".own-vote")).to_have_text(["your vote: 3"])


def test_the_form_says_how_many_choices_are_chosen(open_page: Open, polls: Polls, paths: Paths) -> None:
    page = open_page(paths["several"])
    status, boxes = page.get_by_role("status"), page.get_by_role("checkbox")
    expect(status).to_have_text("0 of 3 chosen")
    mark(page, "several", 1, 1)
    expect(status).to_have_text("2 of 3 chosen")
    mark(page, "several", 1, 1, 1, 1)
    expect(status).to_have_text("1 choice too many")
    page.get_by_role("button", name="Vote").click()
    expect(page.get_by_role("group")).to_have_accessible_description("Choose 2 to 3 answers. Select at most 3 choices.")
    expect(page.locator(":checked")).to_have_count(4)
    boxes.first.uncheck()
    expect(status).to_have_text("3 of 3 chosen")
    page.goto(polls.url + paths["any number"])
    boxes.first.check()
    expect(status).to_have_text("1 chosen")


def test_the_form_says_how_many_points_are_left_and_its_buttons_give_points(open_page: Open, paths: Paths) -> None:
    page = open_page(paths["dots"], width=360)
    status, fields = page.get_by_role("status"), page.get_by_role("spinbutton")
    more = page.get_by_role("button", name="One point more")

    expect(status).to_have_text("5 points left")
    more.nth(0).click()
    expect(status).to_have_text("4 points left")
    for _ in range(2):
        more.nth(0).click()
    expect(more.nth(0)).to_be_disabled()  # 3 points are the most for one choice
    more.nth(1).click()
    expect(status).to_have_text("1 point left")
    more.nth(1).click()
    expect(more.nth(2)).to_be_disabled()
    page.get_by_role("button", name="One point less: Green tea").click()
    expect(fields.nth(0)).to_have_value("2")
    fields.nth(2).fill("3")
    expect(status).to_have_text("2 points too many")

    page.get_by_role("button", name="Vote").click()

    expect(page.get_by_role("alert")).to_have_text("You can give 5 points in all.")
    marked(page, "dots", 2, 2, 3)
    expect(status).to_have_text("2 points too many")


@pytest.mark.parametrize(("width", "color_scheme", "locale"), [(360, "dark", "zh-CN"), (1280, "light", "en-GB")])
def test_the_forms_of_all_methods_are_accessible_and_fit(
    open_page: Open, polls: Polls, paths: Paths, width: int, color_scheme: str, locale: str
) -> None:
    page = open_page("/", width=width, color_scheme=color_scheme, locale=locale)
    counted = {"several": ("0 of 3 chosen", "已选 0 项（最多 3 项）"), "dots": ("5 points left", "还剩 5 分")}
    for name, path in paths.items():
        page.goto(polls.url + path)
        if name in counted:
            expect(page.get_by_role("status")).to_have_text(counted[name][locale == "zh-CN"])
        if name not in ("one", "any number", "scores to 10"):  # of the same kind
            assert violations(page) == []
        targets = page.locator("form :is(label:not([for]), label + .stepper > *, button)").all()
        assert all((box := target.bounding_box()) and box["height"] >= 44 and box["width"] >= 44 for target in targets)
        if width == 360:
            page.evaluate("document.documentElement.style.fontSize = '200%'")
            assert all((box := target.bounding_box()) and 0 < box["x"] < width - box["width"] for target in targets)
        assert page.evaluate("document.documentElement.scrollWidth") == width


def test_with_forced_colors_the_focus_and_what_is_selected_are_visible(
    open_page: Open, polls: Polls, paths: Paths
) -> None:
    page = open_page(paths["scores to 5"], forced_colors="active")

    def style(selector: str, name: str) -> str:
        value: str = page.locator(selector).first.evaluate("(element, name) => getComputedStyle(element)[name]", name)
        return value

    score(page, 0, 2).focus()
    page.keyboard.press("Space")
    assert style(".level:has(:focus-visible)", "outlineWidth") == "3px"
    page.keyboard.press("Tab")
    assert style(".level:has(:checked)", "borderTopColor") != style(".level:not(:has(:checked))", "borderTopColor")
    page.goto(polls.url + paths["dots"])
    page.get_by_role("spinbutton").last.fill("1")
    rows = page.locator(".dot-choice")
    colors = rows.evaluate_all("rows => rows.map((row) => getComputedStyle(row).borderTopColor)")
    assert colors[-1] not in colors[:-1]
