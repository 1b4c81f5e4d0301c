"""The owner of a poll in a real browser: on a phone without JavaScript, in both languages, and with the keyboard."""

import pytest
from playwright.sync_api import Page, expect

from polls.domain.access_keys import new_key
from polls.domain.slugs import new_slug
from tests.journeys.conftest import Open, psql, shifts, violations
from tests.support.processes import Polls

ENGLISH = {
    "edit": "Edit",
    "question": "Question",
    "save": "Save",
    "saved": "The poll was saved.",
    "close": "Close now",
    "closing": "Yes, close",
    "closed": "The poll is closed now.",
    "final": "Final result",
    "new link": "New link",
    "making": "Yes, make a new link",
    "keep": "Keep this link: nobody can give it back to you",
    "delete": "Delete this poll",
    "deleting": "Yes, delete",
    "deleted": "Poll deleted",
}
CHINESE = {
    "edit": "编辑",
    "question": "问题",
    "save": "保存",
    "saved": "投票已保存。",
    "close": "立即截止",
    "closing": "是，截止",
    "closed": "投票已截止。",
    "final": "最终结果",
    "new link": "新链接",
    "making": "是，生成新链接",
    "keep": "请保存此链接：丢失后无人能帮您找回",
    "delete": "删除此投票",
    "deleting": "是，删除",
    "deleted": "投票已删除",
}


@pytest.fixture
def link(polls: Polls) -> str:
    """The access link of a new poll with a vote, as a path."""
    slug, key = new_slug(), new_key()
    psql(
        polls,
        f"""
        INSERT INTO question (question_text, pub_date, slug, is_listed, ballots)
            VALUES ('Where shall we eat?', now() - interval '1 hour', '{slug}', false, 1);
        INSERT INTO choice (question_id, choice_text, position, votes)
            SELECT max(id), unnest(ARRAY['Noodles', 'Pizza']), unnest(ARRAY[1, 2]), unnest(ARRAY[1, 0]) FROM question;
        INSERT INTO ballot (question_id, voter, marks)
            SELECT question_id, 'x', ARRAY[min(id)] FROM choice GROUP BY question_id ORDER BY question_id DESC LIMIT 1;
        INSERT INTO poll_settings (question_id, owner_hash, asked_at)
            SELECT max(id), sha256('{key}'), now() FROM question;
        """,
    )
    return f"/poll/{slug}/as/{key}"


@pytest.mark.parametrize(("locale", "words"), [("en-GB", ENGLISH), ("zh-CN", CHINESE)])
def test_an_owner_edits_closes_and_deletes_on_a_phone_without_javascript(
    open_page: Open, link: str, locale: str, words: dict[str, str]
) -> None:
    page = open_page(link, width=360, locale=locale, java_script_enabled=False)
    poll = page.url.removesuffix("/manage")

    def choose(*names: str) -> None:
        for name in names:
            page.locator("main :is(a, button)").get_by_text(name, exact=True).click()
        assert page.evaluate("document.documentElement.scrollWidth") == 360

    choose(words["edit"])
    page.get_by_label(words["question"], exact=True).fill("Where shall we eat on Friday?")
    choose(words["save"])
    expect(page.get_by_role("status").first).to_have_text(words["saved"])

    choose(words["close"], words["closing"])
    expect(page.get_by_role("status").first).to_have_text(words["closed"])
    expect(page.get_by_role("heading", name=words["final"])).to_be_visible()

    choose(words["new link"], words["making"])
    expect(page.get_by_role("heading", name=words["keep"])).to_be_visible()
    new_link = page.locator(".access-link .share-url").inner_text()
    expect(page.locator(".access-link svg")).to_be_visible()

    choose(words["delete"], words["deleting"])
    expect(page.get_by_role("heading", level=1)).to_have_text(words["deleted"])
    for url in (poll, new_link):
        response = page.goto(url)
        assert response
        assert response.status == 404


def test_an_owner_can_use_the_keyboard_only(open_page: Open, link: str) -> None:
    page = open_page(link)
    heading, message = page.get_by_role("heading", level=1), page.locator(".flash")

    def press_on(name: str) -> None:
        tab_to(page, name)
        with page.expect_navigation():
            page.keyboard.press("Enter")

    press_on("Edit")
    tab_to(page, "Question")
    page.keyboard.type("Where next?")
    press_on("Save")
    expect(message).to_have_text("The poll was saved.")
    expect(heading).to_contain_text("Where next?")
    press_on("Close now")
    press_on("Yes, close")
    expect(heading).to_contain_text("Closed")
    press_on("New link")
    press_on("Yes, make a new link")
    tab_to(page, "Copy")
    page.keyboard.press("Enter")
    expect(page.locator(".access-link [role=status]")).to_have_text("Copied")
    press_on("Delete this poll")
    press_on("Yes, delete")
    expect(heading).to_have_text("Poll deleted")


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the focus is on the element with the text or label `name`."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("(document.activeElement.labels?.[0] ?? document.activeElement).textContent.trim()") == name:
            return
    raise AssertionError(name)


@pytest.mark.parametrize(("width", "color_scheme"), [(360, "dark"), (1280, "light")])
def test_the_owners_pages_are_accessible_and_fit(open_page: Open, link: str, width: int, color_scheme: str) -> None:
    page = open_page(f"{link.partition('/as/')[0]}/results", width=width, color_scheme=color_scheme)
    poll = page.url.removesuffix("/results")
    page.goto(poll.partition("/poll/")[0] + link)
    assert shifts(page) == []

    for name in ("new-link", "manage", "edit", "delete"):
        if name == "manage":
            page.get_by_role("button", name="Yes, make a new link").click()
            expect(page.locator(".access-link svg")).to_be_visible()
        else:
            page.goto(f"{poll}/{name}")
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        targets = page.locator("main :is(a, button):visible:not(p:not(.row) a)")
        assert [target.inner_text() for target in targets.all() if (target.bounding_box() or {})["height"] < 43.9] == []
