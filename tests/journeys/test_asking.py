"""Asking in a real browser: without JavaScript on a phone, in both languages, and with the keyboard only."""

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import Open, violations

ENGLISH = {
    "question": "Question",
    "choice": "Choice",
    "ask": "Ask",
    "vote": "Vote",
    "counted": "Your vote has been counted.",
    "keep": "Keep this link: nobody can give it back to you",
}
CHINESE = {
    "question": "问题",
    "choice": "选项",
    "ask": "提问",
    "vote": "投票",
    "counted": "您的投票已计入。",
    "keep": "请保存此链接：丢失后无人能帮您找回",
}


@pytest.mark.parametrize(("locale", "words"), [("en-GB", ENGLISH), ("zh-CN", CHINESE)])
def test_asking_sharing_and_voting_take_four_pages_on_a_phone_without_javascript(
    open_page: Open, locale: str, words: dict[str, str]
) -> None:
    options = {"width": 360, "locale": locale, "java_script_enabled": False}

    page = open_page("/ask", **options)
    page.get_by_label(words["question"], exact=True).fill("Tea?")
    page.get_by_label(f"{words['choice']} 1", exact=True).fill("Green")
    page.get_by_label(f"{words['choice']} 2", exact=True).fill("Black")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.get_by_role("button", name=words["ask"], exact=True).click()

    expect(page.get_by_role("heading", level=1)).to_contain_text("Tea?")
    expect(page.get_by_role("heading", name=words["keep"])).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    address = page.url.removesuffix("/manage")
    assert "/as/" not in page.url
    expect(page.get_by_role("link", name=address.partition("/poll/")[2])).to_be_visible()

    voter = open_page("", url=address, **options)
    voter.get_by_label("Green").check()
    voter.get_by_role("button", name=words["vote"], exact=True).click()
    expect(voter.get_by_role("status")).to_have_text(words["counted"])

    page.goto(address.partition("/poll/")[0] + "/ask")
    expect(page.get_by_role("link", name="Tea?")).to_be_visible()
    page.get_by_role("link", name="Tea?").click()
    expect(page).to_have_url(f"{address}/manage")


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the focus is on the element with the text or label `name`."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("(document.activeElement.labels?.[0] ?? document.activeElement).textContent.trim()") == name:
            return
    raise AssertionError(name)


def test_a_visitor_can_ask_with_the_keyboard_only(open_page: Open) -> None:
    page = open_page("/", width=360)

    tab_to(page, "Ask a question")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Ask a question")
    tab_to(page, "Question")
    page.keyboard.type("Tea?")
    page.keyboard.press("Enter")
    for choice in ("Green", "Black", "White", "Mint"):
        page.keyboard.type(choice)
        page.keyboard.press("Enter")
    tab_to(page, "How to vote One answer")
    page.keyboard.press("Enter")
    tab_to(page, "One answer")
    page.keyboard.press("ArrowDown")
    expect(page.locator(".how-to-vote .folded-summary")).to_have_text("Several answers · at least 1")
    tab_to(page, "Ask")
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", level=1)).to_contain_text("Tea?")
    for choice in ("Green", "Black", "White", "Mint"):
        expect(page.get_by_role("main")).to_contain_text(choice)


def test_axe_finds_no_problem_on_the_form_with_errors_and_unfolded(open_page: Open) -> None:
    page = open_page("/ask", width=360)
    page.get_by_role("button", name="Agree, 1 to 5").click()
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.get_by_role("alert")).to_be_focused()
    for part in ("How to vote", "When"):
        page.locator("summary").filter(has_text=part).click()

    for color_scheme in ("light", "dark"):
        page.emulate_media(color_scheme=color_scheme)
        assert violations(page) == []
    page.get_by_role("link", name="Question: Enter a question.").click()
    expect(page.get_by_label("Question", exact=True)).to_be_focused()


def test_a_double_tap_on_ask_makes_one_poll(open_page: Open) -> None:
    page = open_page("/ask", width=360, has_touch=True)
    page.get_by_label("Question", exact=True).fill("Coffee?")
    page.get_by_label("Choice 1", exact=True).fill("Yes")
    page.get_by_label("Choice 2", exact=True).fill("No")
    page.get_by_role("button", name="Ask", exact=True).dblclick()

    expect(page.get_by_role("heading", level=1)).to_contain_text("Coffee?")
    page.goto(page.url.partition("/poll/")[0] + "/ask")
    expect(page.get_by_role("link", name="Coffee?")).to_have_count(1)
