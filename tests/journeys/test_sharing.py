"""Sharing a poll, in a browser: its address, its QR code, and the device's share sheet."""

import pytest
from playwright.sync_api import Page, expect

from polls.domain.access_keys import hash_of, new_key
from tests.journeys.conftest import NAME, Open, psql, violations
from tests.support.processes import Polls

RESULTS = "/poll/1/results"


def open_share(page: Page) -> None:
    page.get_by_text("Share this poll").click()
    expect(page.locator(".share-block")).to_be_visible()


def test_the_address_is_copied_and_shared_and_its_qr_code_is_loaded_when_it_is_shown(
    open_page: Open, polls: Polls
) -> None:
    page = open_page("/")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.add_init_script("navigator.share = shared => { window.shared = shared; return Promise.reject(); }")
    loaded: list[str] = []
    page.on("request", lambda request: loaded.append(request.url.removeprefix(polls.url)))
    page.goto(polls.url + RESULTS)
    page.wait_for_load_state("networkidle")
    assert "/poll/1/qr.svg" not in loaded

    open_share(page)
    expect(page.locator(".share-url")).to_have_text(f"{polls.url}/poll/1")
    page.wait_for_function("document.querySelector('.share-block img').naturalWidth > 0")
    assert "/poll/1/qr.svg" in loaded

    page.get_by_role("button", name="Copy").click()
    expect(page.locator(".share-block [role=status]")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == f"{polls.url}/poll/1"

    page.get_by_role("button", name="Share").click()
    question = page.get_by_role("heading", level=1).inner_text()
    assert page.evaluate("window.shared") == {"title": question, "url": f"{polls.url}/poll/1"}


def test_the_address_is_copied_where_browsers_have_neither_clipboard_nor_share_sheet(
    open_page: Open, polls: Polls
) -> None:
    url = polls.url.replace("127.0.0.1", NAME)  # plain http, and not loopback
    page = open_page(RESULTS, url=url)
    open_share(page)

    page.get_by_role("button", name="Copy").click()

    expect(page.locator(".share-block [role=status]")).to_have_text("Copied")
    assert page.evaluate("getSelection().toString()") == f"{url}/poll/1"
    expect(page.get_by_role("button", name="Share")).to_have_count(0)
    expect(page.get_by_text("--host 0.0.0.0")).to_be_hidden()


def test_without_javascript_there_are_the_qr_code_and_a_link(open_page: Open, polls: Polls) -> None:
    page = open_page(RESULTS, java_script_enabled=False)
    open_share(page)

    expect(page.get_by_alt_text("QR code of this address")).to_be_visible()
    expect(page.get_by_role("button")).to_have_count(0)
    page.locator(".share-block").get_by_role("link", name="/poll/1").click()
    expect(page).to_have_url(f"{polls.url}/poll/1")


@pytest.mark.parametrize(("width", "colours"), [(360, "dark"), (1280, "light")])
def test_the_opened_block_is_accessible_and_fits(open_page: Open, width: int, colours: str) -> None:
    page = open_page(RESULTS, width=width, color_scheme=colours)
    open_share(page)
    page.get_by_role("button", name="Copy").click()

    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for target in page.locator("summary, .share-block button:visible").all():
        box = target.bounding_box()
        assert box is not None
        assert round(box["height"], 1) >= 44


def test_the_message_is_copied_with_its_line_break(open_page: Open, polls: Polls) -> None:
    page = open_page("/poll/1/share")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    question = page.locator(".subheading").inner_text()

    page.get_by_role("region", name="Message").get_by_role("button", name="Copy").click()

    expect(page.get_by_role("region", name="Message").get_by_role("status")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == f"{question}\nVote: {polls.url}/poll/1"


OWN_POLL = """
    INSERT INTO question (question_text, pub_date, slug, is_listed) VALUES ('Tea?', now(), 'tea-time', false);
    INSERT INTO choice (question_id, choice_text) SELECT max(id), 'Yes' FROM question;
    INSERT INTO poll_settings (question_id, asked_at, owner_hash) SELECT max(id), now(), '\\x{hash}' FROM question;
"""


def test_a_new_access_link_is_copied_and_opens_the_poll_in_another_browser(open_page: Open, polls: Polls) -> None:
    key = new_key()
    psql(polls, OWN_POLL.format(hash=hash_of(key).hex()))
    page = open_page(f"/poll/tea-time/as/{key}", width=360)
    expect(page).to_have_url(f"{polls.url}/poll/tea-time/manage")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])

    page.get_by_role("link", name="New link").click()
    page.get_by_role("button", name="Yes, make a new link").click()
    link = page.get_by_role("region", name="Keep this link")
    link.get_by_role("button", name="Copy").click()
    expect(link.get_by_role("status")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")

    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    other = open_page(copied.removeprefix(polls.url))
    expect(other).to_have_url(f"{polls.url}/poll/tea-time/manage")


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_the_browsers_own_colour_is_that_of_the_page(open_page: Open, colours: str) -> None:
    page = open_page("/", color_scheme=colours)

    theme, background = page.evaluate(
        """() => {
            const themes = [...document.querySelectorAll("[name=theme-color]")];
            const theme = themes.find(tag => matchMedia(tag.media).matches);
            const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
            return [theme.content, getComputedStyle(document.body).backgroundColor].map(colour => {
                canvas.fillStyle = colour;
                canvas.fillRect(0, 0, 1, 1);
                return [...canvas.getImageData(0, 0, 1, 1).data];
            });
        }"""
    )
    assert theme == background


def test_the_browser_loads_the_manifest(open_page: Open) -> None:
    page = open_page("/")

    found = page.context.new_cdp_session(page).send("Page.getAppManifest")

    assert found["errors"] == []
    assert '"name": "Polls"' in found["data"]
