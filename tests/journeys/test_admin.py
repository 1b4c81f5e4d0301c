"""The admin in a real browser: one journey with and without JavaScript, accessibility, sizes and layout shifts."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.journeys.conftest import CLOSED_POLL, Open, shifts, violations
from tests.support.long_texts import LONG_POLLS, WORD, layout_faults
from tests.support.processes import Polls, command, serving

PASSWORD = "correct horse battery"
PAGES = [
    "/admin/",
    "/admin/?sort=state,-ballots&q=t&date=year",
    "/admin/polls/add",
    "/admin/polls/1",
    "/admin/polls/7",
    "/admin/polls/1/delete",
    "/admin/polls/1/history",
    "/admin/history?mine=yes",
    "/admin/users/",
    "/admin/account",
    "/poll/8",
    "/poll/8/results",
    "/poll/8/present",
]
SCHEDULED = """
    INSERT INTO question (question_text, pub_date) VALUES ('Where next year?', now() + interval '30 days');
    INSERT INTO choice (question_id, choice_text) SELECT 8, 'Here' UNION ALL SELECT 8, 'There';
"""


@pytest.fixture(scope="module")
def polls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Polls]:
    """A server with the sample polls, a closed and a scheduled one, and the account of ada."""
    folder = tmp_path_factory.mktemp("admin")
    with serving(folder) as polls:
        for arguments, password in [
            (("createadmin", "--username=ada", "--password-stdin"), PASSWORD),
            (("psql", "--", "-c", CLOSED_POLL + SCHEDULED), ""),
        ]:
            done = command(folder, *arguments, typed=password)
            assert done.returncode == 0, done.stderr
        yield polls


@pytest.fixture(scope="module")
def signed_in(browser: Browser, polls: Polls) -> dict[str, object]:
    """Options of a page with ada's session."""
    context = browser.new_context()
    page = context.new_page()
    sign_in(page, polls)
    state = context.storage_state()
    context.close()
    return {"storage_state": state}


def sign_in(page: Page, polls: Polls) -> None:
    page.goto(f"{polls.url}/admin/")
    page.get_by_label("User name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Polls")


def edit(page: Page, polls: Polls, question: str) -> None:
    page.goto(f"{polls.url}/admin/")
    page.get_by_role("link", name=question).click()


@pytest.mark.parametrize("scripts", [True, False])
def test_choices_are_entered_one_after_the_other_with_enter(
    open_page: Open, signed_in: dict[str, object], scripts: bool
) -> None:
    page = open_page("/admin/polls/add", java_script_enabled=scripts, **signed_in)
    page.get_by_label("Question").fill("Tea?")

    for position, choice in enumerate(["One", "Two", "Three", "Four"], start=1):
        page.keyboard.press("Enter")
        expect(page.get_by_label(f"Choice {position}", exact=True)).to_be_focused()
        page.keyboard.type(choice)

    expect(page.get_by_role("heading", level=1)).to_have_text("Add a poll")
    expect(page.get_by_label("Choice 1", exact=True)).to_have_value("One")


def test_a_double_click_and_going_back_add_one_poll(open_page: Open, signed_in: dict[str, object]) -> None:
    page = open_page("/admin/?sort=text", **signed_in)
    page.get_by_role("link", name="Add a poll").click()
    page.get_by_label("Question").fill("Once?")
    page.get_by_label("Choice 1", exact=True).fill("Yes")

    page.get_by_role("button", name="Save", exact=True).dblclick()
    expect(page.get_by_role("status").first).to_contain_text("Your poll is live.")
    assert page.url.endswith("/admin/?sort=text")
    assert violations(page) == []
    expect(page.get_by_role("link", name="Once?")).to_have_count(1)
    page.go_back()
    page.get_by_label("Question").fill("Only once?")
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.get_by_role("link", name="nce?")).to_have_count(1)
    expect(page.get_by_role("link", name="Only once?")).to_have_count(1)


@pytest.mark.parametrize("scripts", [True, False])
def test_a_form_whose_session_has_ended_is_kept(open_page: Open, signed_in: dict[str, object], scripts: bool) -> None:
    page = open_page("/admin/polls/add", java_script_enabled=scripts, **signed_in)
    page.get_by_label("Question").fill("Kept?")
    page.get_by_label("Choice 1", exact=True).fill("Yes")
    page.context.clear_cookies()

    page.get_by_role("button", name="Save", exact=True).click()
    assert not scripts or violations(page) == []
    page.get_by_label("User name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()

    expect(page.get_by_role("status")).to_have_text("You are signed in again. Nothing has been saved yet.")
    expect(page.get_by_label("Question")).to_have_value("Kept?")
    expect(page.get_by_label("Choice 1", exact=True)).to_have_value("Yes")


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scripts", [True, False])
def test_an_admin_adds_edits_closes_reviews_and_deletes_a_poll(
    open_page: Open, polls: Polls, scripts: bool, width: int
) -> None:
    question = f"Where do we eat, {width} {scripts}?"
    page = open_page("/admin/", width=width, java_script_enabled=scripts)
    sign_in(page, polls)

    # A poll with four choices: three rows, and one more.
    page.get_by_role("link", name="Add a poll").click()
    page.get_by_label("Question").fill(question)
    page.get_by_role("button", name="Add another choice").click()
    for position, choice in enumerate(["Piza", "Sushi", "Salad", "Soup"], start=1):
        page.get_by_label(f"Choice {position}", exact=True).fill(choice)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("status").first).to_contain_text("Your poll is live.")
    expect(page.get_by_alt_text("QR code of this address")).to_be_visible()

    # A voter votes.
    voter = open_page("/", width=width, java_script_enabled=scripts)
    voter.get_by_role("link", name=question).click()
    expect(voter.get_by_role("radio")).to_have_count(4)
    voter.get_by_label("Piza").check()
    voter.get_by_role("button", name="Vote").click()
    expect(voter.locator(".total")).to_contain_text("1 vote in all")

    # The admin fixes a typo: the vote stays, and the results say that the poll was edited.
    edit(page, polls, question)
    page.get_by_label("Choice 1", exact=True).fill("Pizza")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("The poll was saved.")
    voter.reload()
    expect(voter.get_by_role("listitem").filter(has_text="Pizza")).to_contain_text("1 vote")
    expect(voter.get_by_text("after voting had started")).to_be_visible()

    # The admin closes the poll from the list.
    page.goto(f"{polls.url}/admin/")
    page.get_by_role("checkbox", name=question).check()
    page.get_by_label("With selected polls:").select_option("Close")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Close this poll?")
    page.get_by_role("button", name="Yes, close").click()
    expect(page.get_by_role("status")).to_contain_text("The poll was closed.")
    expect(page.get_by_role("row").filter(has_text=question)).to_contain_text("Closed")
    voter.reload()
    expect(voter.get_by_text("This poll closed on")).to_be_visible()

    # The history has all changes.
    edit(page, polls, question)
    page.get_by_role("main").get_by_role("link", name="History").click()
    for text in ("Closed", "from “Piza” to “Pizza”", "Added"):
        expect(page.get_by_role("main")).to_contain_text(text)
    expect(page.locator(".card bdi", has_text="ada").first).to_be_visible()

    # The admin deletes the poll; the open page of the voter shows that.
    edit(page, polls, question)
    page.get_by_role("link", name="Delete").click()
    expect(page.get_by_text("4 choices · 1 ballot")).to_be_visible()
    page.get_by_role("button", name="Yes, delete").click()
    expect(page.get_by_role("status")).to_contain_text("The poll was deleted.")
    expect(page.get_by_role("link", name=question)).to_have_count(0)
    if not scripts:
        voter.reload()
    # A page that has just reloaded itself, as this one may have when the poll was closed, waits before the next reload.
    expect(voter.get_by_role("heading", level=1)).to_have_text("Poll not found", timeout=15_000)

    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(f"{polls.url}/")
    page.goto(f"{polls.url}/admin/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_a_poll_is_closed_and_reopened_from_its_page_with_the_keyboard(
    open_page: Open, signed_in: dict[str, object]
) -> None:
    page = open_page("/admin/polls/2", java_script_enabled=False, **signed_in)
    heading = page.get_by_role("heading", level=1)

    for action, confirmation, done, state in [
        ("Close now", "Yes, close", "The poll was closed.", "Closed"),
        ("Reopen", "Yes, reopen", "The poll was reopened.", "Open"),
    ]:
        page.get_by_role("link", name=action).focus()
        page.keyboard.press("Enter")
        page.get_by_role("button", name=confirmation).focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("status").first).to_have_text(done)
        expect(heading).to_contain_text(state)
        expect(page).to_have_title(re.compile(f"^{state}: "))


def test_a_poll_can_be_added_with_the_keyboard_alone(open_page: Open, signed_in: dict[str, object]) -> None:
    page = open_page("/admin/polls/add", **signed_in)

    page.get_by_label("Question").focus()
    page.keyboard.type("Keyboard only?")
    page.get_by_label("Choice 1", exact=True).focus()
    page.keyboard.type("Yes")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.get_by_role("button", name="Save", exact=True).evaluate("button => button.matches(':focus')"):
            break
    page.keyboard.press("Enter")

    expect(page.get_by_role("status").first).to_contain_text("Your poll is live.")


def test_today_and_now_use_the_sites_time_zone(open_page: Open, signed_in: dict[str, object]) -> None:
    page = open_page("/admin/polls/add", timezone_id="Pacific/Auckland", **signed_in)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.method))

    page.get_by_text("Now, no end").click()
    before = datetime.now(UTC)
    page.get_by_role("button", name="Today (Closes)").click()
    page.get_by_role("button", name="Now (Closes)").click()
    after = datetime.now(UTC)

    date = page.get_by_label("Closes: date").input_value()
    time = page.get_by_label("Closes: time").input_value()
    assert date in {f"{before:%Y-%m-%d}", f"{after:%Y-%m-%d}"}
    assert time in {f"{before:%H:%M}", f"{after:%H:%M}"}
    assert "POST" not in requests
    page.get_by_text("When").click()
    expect(page.get_by_text(re.compile(f"Now, until .*{time}"))).to_be_visible()
    expect(page.get_by_label("Closes: date")).to_be_hidden()


def test_one_checkbox_ticks_all(open_page: Open, signed_in: dict[str, object]) -> None:
    page = open_page("/admin/", **signed_in)
    checkboxes = page.locator("[name=poll]")

    page.get_by_label("Select all on this page").check()
    assert all(checkbox.is_checked() for checkbox in checkboxes.all())

    checkboxes.first.uncheck()
    assert page.get_by_label("Select all on this page").evaluate("checkbox => checkbox.indeterminate")


@pytest.mark.parametrize(("scripts", "width"), [(True, 360), (False, 1280)])
def test_an_action_is_run_on_all_polls_that_match(
    open_page: Open, polls: Polls, signed_in: dict[str, object], scripts: bool, width: int
) -> None:
    many = (
        "INSERT INTO question (question_text, pub_date) "
        "SELECT 'Rehearsal ' || n, now() - interval '9 years' FROM generate_series(1, 230) AS n"
    )
    assert command(polls.log.parent, "psql", "--", "-c", many).returncode == 0
    page = open_page("/admin/", width=width, java_script_enabled=scripts, **signed_in)

    page.get_by_label("Search questions and choices").fill("hearsa")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("230 of")).to_contain_text("polls match")
    page.get_by_label("Page", exact=True).fill("3")
    page.get_by_role("button", name="Go").click()
    expect(page.get_by_role("checkbox", name="Rehearsal")).to_have_count(30)
    everything = page.get_by_label("Select all 230 polls that match, on all pages")
    page.get_by_role("checkbox", name="Rehearsal").first.check()
    expect(everything).to_be_in_viewport(ratio=1)  # wherever the first selected poll is
    everything.check()
    if scripts:
        assert page.locator("[name=poll]:checked").count() == 30
        assert violations(page) == []
    page.get_by_label("With selected polls:").select_option("Delete")
    page.get_by_role("button", name="Continue").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Delete 230 polls?")
    expect(page.get_by_role("listitem").filter(has_text="Rehearsal")).to_have_count(12)
    expect(page.get_by_text("and 218 more")).to_be_visible()
    if scripts:
        assert violations(page) == []
    page.get_by_role("button", name="Yes, delete").click()
    expect(page.get_by_role("status")).to_contain_text("230 polls were deleted.")
    expect(page.get_by_text("0 of")).to_contain_text("polls match")


def test_rows_added_by_the_script_are_saved(open_page: Open, signed_in: dict[str, object]) -> None:
    page = open_page("/admin/polls/add", **signed_in)
    page.get_by_label("Question").fill("How many?")
    for _ in range(4):
        page.get_by_role("button", name="Add another choice").click()
    for position in range(1, 8):
        page.get_by_label(f"Choice {position}", exact=True).fill(f"{position} of them")

    page.get_by_role("button", name="Save and continue editing").click()

    expect(page.get_by_role("status").first).to_contain_text("Your poll is live.")
    saved = [page.get_by_label(f"Choice {position}", exact=True).input_value() for position in range(1, 8)]
    assert saved == [f"{position} of them" for position in range(1, 8)]


@pytest.mark.parametrize(("width", "colours"), [(360, "dark"), (1280, "light")])
@pytest.mark.parametrize("url", [*PAGES, "/admin/login", "/admin/nowhere"])
def test_axe_finds_no_violations(
    open_page: Open, signed_in: dict[str, object], url: str, width: int, colours: str
) -> None:
    state = {} if url.endswith("login") else signed_in
    page = open_page(url, width=width, color_scheme=colours, **state)

    assert violations(page) == []


@pytest.mark.parametrize("scripts", [True, False])
def test_errors_are_red_and_their_summary_has_the_focus_and_leads_to_the_fields(
    open_page: Open, signed_in: dict[str, object], scripts: bool
) -> None:
    page = open_page("/admin/polls/add", java_script_enabled=scripts, **signed_in)
    question, choice = page.get_by_label("Question"), page.get_by_label("Choice 2", exact=True)
    choice.fill("x" * 201)

    page.get_by_role("button", name="Save", exact=True).click()

    expect(page).to_have_title(re.compile("^Error: Add a poll "))
    expect(page.get_by_role("alert")).to_be_focused()
    valid = border_colour(page.get_by_label("Choice 1", exact=True))
    red = page.locator("#error-text").evaluate("message => getComputedStyle(message).color")
    assert (border_colour(question), border_colour(choice), valid == red) == (red, red, False)
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(choice).to_be_focused()
    page.get_by_role("link", name="Question: Enter a question.").click()
    expect(question).to_be_focused()


def border_colour(field: Locator) -> str:
    colour: str = field.evaluate("field => getComputedStyle(field).borderTopColor")
    return colour


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_no_violations_in_error_messages(open_page: Open, signed_in: dict[str, object], colours: str) -> None:
    page = open_page("/admin/polls/add", width=360, color_scheme=colours, **signed_in)
    page.get_by_label("Choice 1", exact=True).fill("x" * 201)
    page.get_by_text("Now, no end").click()
    page.get_by_label("Closes: date").fill("2099-12-24")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("alert")).to_be_visible()
    assert violations(page) == []

    page = open_page("/admin/polls/1", width=360, color_scheme=colours, **signed_in)
    page.locator("[name=edition]").evaluate("field => { field.value = '0'; }")
    page.get_by_label("Choice 1", exact=True).fill("Another framework")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Someone else has changed this poll")
    assert violations(page) == []

    page = open_page("/admin/login", width=360, color_scheme=colours)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    assert violations(page) == []

    page = open_page("/admin/users/", width=360, color_scheme=colours, **signed_in)
    page.get_by_role("button", name="Add a user").click()
    expect(page.get_by_role("alert")).to_contain_text("User name: Use 1 to 150 characters")
    assert violations(page) == []


@pytest.mark.parametrize("width", [320, 1280])
@pytest.mark.parametrize("url", PAGES)
def test_no_page_scrolls_horizontally(open_page: Open, signed_in: dict[str, object], url: str, width: int) -> None:
    page = open_page(url, width=width, **signed_in)

    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_chinese_words_on_controls_are_not_broken(open_page: Open, polls: Polls, signed_in: dict[str, object]) -> None:
    page = open_page("/admin/", width=360, locale="zh-CN", **signed_in)
    broken = []
    for url in [*PAGES, "/", "/poll/1", "/poll/1/results"]:
        page.goto(f"{polls.url}{url}")
        broken += page.evaluate(
            """() => [...document.querySelectorAll("a, button, label, legend, summary, th, td")]
                .filter((element) => element.checkVisibility() && !element.children.length)
                .filter((element) => element.textContent.trim().length <= 8)
                .filter((element) => {
                  const range = document.createRange();
                  range.selectNodeContents(element);
                  return new Set([...range.getClientRects()].map((line) => Math.round(line.top / 4))).size > 1;
                })
                .map((element) => `${document.title}: ${element.textContent.trim()}`)"""
        )
    assert broken == []


@pytest.mark.parametrize("url", [page for page in PAGES if page.startswith("/admin")])
def test_touch_targets_are_44_pixels_high(open_page: Open, signed_in: dict[str, object], url: str) -> None:
    page = open_page(url, width=360, **signed_in)

    targets = "a:visible:not(.skip, p:not(.row) a), button:visible, select:visible, .tick-box:visible, .remove:visible"
    for target in page.locator(f"{targets}, input:visible:not([type=checkbox], .visually-hidden)").all():
        box = target.bounding_box()
        assert box is not None
        assert round(box["height"], 1) >= 44, target.evaluate("element => element.outerHTML")


@pytest.mark.parametrize("url", ["/admin/", "/admin/polls/1"])
def test_pages_load_without_layout_shifts(open_page: Open, signed_in: dict[str, object], url: str) -> None:
    page = open_page(url, **signed_in)

    assert shifts(page) == []


def test_long_texts_in_large_type_neither_scroll_sideways_nor_break_letter_by_letter(
    open_page: Open, polls: Polls, signed_in: dict[str, object]
) -> None:
    done = command(Path(polls.log).parent, "psql", "--", "-qAt", "-c", LONG_POLLS)
    address = f"/admin/polls/{int(done.stdout) - 1}"

    page = open_page("/admin/", width=360, **signed_in)
    expect(page.get_by_role("link", name=WORD)).to_be_visible()
    assert layout_faults(page, "200%") == []
    for url in (address, f"{address}/delete"):
        page.goto(f"{polls.url}{url}")
        assert layout_faults(page, "200%") == []


@pytest.mark.parametrize("scripts", [True, False])
def test_how_to_vote_is_chosen_in_the_form(open_page: Open, signed_in: dict[str, object], scripts: bool) -> None:
    page = open_page("/admin/polls/add", width=360, java_script_enabled=scripts, **signed_in)
    page.get_by_label("Question").fill("What matters?")
    if scripts:
        paste(page.get_by_label("Choice 1", exact=True), "Speed\n\nLooks\r\nPrice\nName\n")
        expect(page.get_by_label("Choice 4", exact=True)).to_be_focused()
    else:
        page.get_by_label("Choice 1", exact=True).fill("Speed")
    page.get_by_label("Description").fill("Two\nlines")
    page.locator(".how-to-vote summary").press("Enter")
    page.get_by_label("One answer").press("ArrowUp")  # the last one
    expect(page.get_by_label("Highest score", exact=True)).to_be_hidden()
    page.get_by_label("Points of each voter").fill("500")
    page.get_by_label("At most on one choice").fill("3")
    page.keyboard.press("Tab")
    if scripts:
        expect(page.locator(".how-to-vote summary")).to_contain_text("at most 3 on one choice")
        assert violations(page) == []

    page.get_by_role("button", name="Save and continue editing").click()
    page.get_by_role("link", name="Points of each voter: Enter a number from 1 to 100.").click()
    if scripts:
        assert violations(page) == []
    expect(page.get_by_label("Points of each voter")).to_be_focused()
    page.get_by_label("Points of each voter").fill("7")
    page.get_by_role("button", name="Save and continue editing").click()

    expect(page.get_by_role("status").first).to_contain_text("Your poll is live.")
    expect(page.get_by_text("Points to spread · 7 for each voter · at most 3 on one choice")).to_be_visible()
    page.get_by_role("link", name="History", exact=True).last.click()
    assert page.locator(".changes .lines").inner_text() == "Two\nlines"
    page.go_back()
    page.get_by_role("link", name="View on site").first.click()
    expect(page.get_by_text("At most 3 on one choice.")).to_be_visible()
    assert page.locator(".description").inner_text() == "Two\nlines"
    expect(page.locator(".dot-choice label")).to_have_text(
        ["Speed", "Looks", "Price", "Name"] if scripts else ["Speed"]
    )


def paste(field: Locator, text: str) -> None:
    field.evaluate(
        """(field, text) => {
            const clipboardData = new DataTransfer();
            clipboardData.setData("text", text);
            field.dispatchEvent(new ClipboardEvent("paste", {clipboardData, bubbles: true, cancelable: true}));
        }""",
        text,
    )
