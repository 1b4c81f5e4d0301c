"""Live results in a browser."""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from time import monotonic

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.journeys.conftest import Open, psql, violations, wait_until_live
from tests.support.processes import Polls, free_port, processes_in, serving
from tests.support.watchers import vote


def results_html(page: Page) -> str:
    """Return the HTML of the results, without the parts in which live pages differ from others."""
    markup: str = page.evaluate(
        """() => {
            const copy = document.querySelector(".poll-results").cloneNode(true);
            copy.querySelectorAll(".live-status, [data-announcer]").forEach(element => element.remove());
            for (const name of copy.getAttributeNames()) copy.removeAttribute(name);
            return copy.innerHTML.replace(/\\s+/g, " ").replace(/> </g, "><");
        }"""
    )
    return markup


@contextmanager
def stopped(*pids: int) -> Iterator[None]:
    """Suspend processes; their connections stay open."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_two_voters_see_each_others_votes_with_and_without_javascript(open_page: Open) -> None:
    phone = open_page("/poll/3", width=360)
    old_phone = open_page("/poll/3", width=360, java_script_enabled=False)

    phone.get_by_label("The sky").check()
    phone.get_by_role("button", name="Vote").click()
    wait_until_live(phone)
    own_row = phone.get_by_role("listitem").filter(has_text="The sky")
    expect(own_row).to_contain_text("your vote")
    expect(own_row).to_contain_text("1 vote")

    old_phone.get_by_label("The sky").check()
    old_phone.get_by_role("button", name="Vote").click()
    expect(old_phone.get_by_role("listitem").filter(has_text="The sky")).to_contain_text("2 votes")
    expect(own_row).to_contain_text("2 votes")

    phone.get_by_role("link", name="Change your vote").click()
    phone.get_by_label("Not much").check()
    phone.get_by_role("button", name="Change your vote").click()
    wait_until_live(phone)
    expect(old_phone.get_by_role("listitem").filter(has_text="The sky")).to_contain_text("2 votes")
    old_phone.get_by_role("link", name="Refresh").click()
    expect(old_phone.get_by_role("listitem").filter(has_text="The sky")).to_contain_text("1 vote")
    expect(old_phone.get_by_role("listitem").filter(has_text="Not much")).to_contain_text("1 vote")


@pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
@pytest.mark.parametrize("address", ["/poll/1/results", "/poll/1/present"])
def test_an_updated_page_equals_a_reloaded_one(
    open_page: Open, browser: Browser, polls: Polls, cast: HTTPConnection, address: str, locale: str
) -> None:
    page = open_page(address, locale=locale)
    other = browser.new_page(locale=locale, java_script_enabled=False)
    expect(page.locator(".is-live")).to_be_visible()

    for choice in (1, 2, 2, 3, 5):
        revision = vote(cast, 1, choice)
        page.wait_for_function(
            "revision => Number(document.querySelector('.poll-results').dataset.revision) >= revision", arg=revision
        )
        other.goto(f"{polls.url}{address}?after={revision}")
        assert results_html(page) == results_html(other)
    other.close()


@pytest.mark.parametrize(
    ("poll", "settings", "forms"),
    [
        (
            91,
            "'multiple', NULL, NULL, NULL, '', ''",
            ["choice=9103&choice=9121", "choice=9121", "choice=9104&choice=9103&choice=9105"],
        ),
        (
            92,
            "'score', NULL, 5, NULL, 'bad', 'good'",
            ["points.9202=0", "points.9222=5&points.9202=4", "points.9222=4&points.9202=3&points.9204=5"],
        ),
        (93, "'dots', NULL, 7, 9, '', ''", ["points.9303=1", "points.9322=2&points.9304=7", "points.9303=6"]),
    ],
    ids=["multiple", "score", "dots"],
)
def test_an_updated_page_equals_a_reloaded_one_for_each_method(
    open_page: Open, polls: Polls, cast: HTTPConnection, poll: int, settings: str, forms: list[str]
) -> None:
    psql(
        polls,
        f"""
        INSERT INTO question (id, question_text, pub_date) VALUES ({poll}, 'Which of these?', now() - interval '1 day');
        INSERT INTO choice (id, question_id, choice_text)
        SELECT {poll}00 + number, {poll}, 'Choice ' || number FROM generate_series(1, 22) AS number;
        INSERT INTO poll_settings
            (question_id, method, most_marks, most_points, budget, lowest_label, highest_label)
        VALUES ({poll}, {settings})
        """,
    )
    addresses = [(f"/poll/{poll}/results", "zh-CN"), (f"/poll/{poll}/present", "en-GB")]
    pages = [open_page(address, locale=locale) for address, locale in addresses]
    others = [open_page(address, locale=locale, java_script_enabled=False) for address, locale in addresses]
    for page in pages:
        expect(page.locator(".is-live")).to_be_visible()

    for form in forms:
        revision = vote(cast, poll, form=form)
        for page, other, (address, _) in zip(pages, others, addresses, strict=True):
            page.wait_for_function(
                "revision => Number(document.querySelector('.poll-results').dataset.revision) >= revision", arg=revision
            )
            other.goto(f"{polls.url}{address}?after={revision}")
            assert results_html(page) == results_html(other)
    assert violations(pages[0]) == []
    for page in pages:
        page.goto("about:blank")
    psql(polls, f"DELETE FROM question WHERE id = {poll}")  # other tests take the highest id for that of their poll


def test_figures_equal_the_servers_for_any_votes(open_page: Open, browser: Browser, polls: Polls) -> None:
    locales = ("en-GB", "zh-CN")
    pages = [open_page("/poll/1/results", locale=locale) for locale in locales]
    others = [browser.new_page(java_script_enabled=False, locale=locale) for locale in locales]
    for page in pages:
        expect(page.locator(".is-live")).to_be_visible()

    for votes in (
        "333 * id * id % 1009",  # different counts that need a decimal
        "CASE WHEN id < 3 THEN 4 WHEN id = 3 THEN 1 ELSE 0 END",  # a tie, and shares that don't add up to 100%
        "CASE id WHEN 1 THEN 3000000 WHEN 2 THEN 1 ELSE 0 END",  # more than 99% and less than 1%
    ):
        psql(polls, f"UPDATE choice SET votes = {votes} WHERE question_id = 1")
        for page, other in zip(pages, others, strict=True):
            other.goto(f"{polls.url}/poll/1/results")
            expect(page.locator(".total")).to_have_text(other.locator(".total").inner_text())
            assert results_html(page) == results_html(other)
    for other in others:
        other.close()
    psql(
        polls,
        "UPDATE choice SET votes = (SELECT count(*) FROM ballot WHERE marks @> ARRAY[choice.id]) WHERE question_id = 1",
    )


def test_bars_are_animated_unless_reduced_motion_is_preferred(open_page: Open) -> None:
    durations = [
        open_page("/poll/1/results", reduced_motion=motion)
        .locator(".fill")
        .first.evaluate("bar => getComputedStyle(bar).transitionDuration")
        for motion in ("no-preference", "reduce")
    ]

    assert durations == ["0.4s", "0s"]


def test_screen_readers_get_one_announcement_for_many_votes(open_page: Open, cast: HTTPConnection) -> None:
    page = open_page("/poll/2/results")
    wait_until_live(page)
    region = page.locator("[aria-live=polite]")
    assert region.inner_text() == ""
    announcements: list[str] = []
    page.expose_function("announced", lambda sentence: announcements.append(sentence))  # noqa: PLW0108
    region.evaluate(
        "element => new MutationObserver(() => announced(element.textContent)).observe(element, {childList: true})"
    )

    for _ in range(12):
        vote(cast, 2, 6)
        page.wait_for_timeout(100)
    expect(region).to_have_text(re.compile(r"^\d+ votes in all\. Leading: In the park with \d+%$"), timeout=10_000)

    assert len(announcements) == 1


def test_an_announcement_repeats_a_choice_to_the_letter(open_page: Open, polls: Polls, cast: HTTPConnection) -> None:
    psql(
        polls,
        """
        INSERT INTO question (question_text, pub_date) VALUES ('Signs?', now());
        INSERT INTO choice (question_id, choice_text) SELECT max(id), '$& %(share)s $1' FROM question
        """,
    )
    page = open_page("/")
    page.get_by_role("link", name="Signs?").click()
    page.get_by_role("link", name="Results").click()
    wait_until_live(page)

    vote(cast, int(page.url.split("/")[4]), int(page.locator("[data-choice]").get_attribute("data-choice") or ""))

    announced = "1 vote in all. Leading: $& %(share)s $1 with 100%"
    expect(page.locator("[aria-live=polite]")).to_have_text(announced, timeout=10_000)


def test_a_poll_that_is_edited_reloads_its_pages(open_page: Open, polls: Polls) -> None:
    page = open_page("/poll/2/results")
    wait_until_live(page)

    psql(polls, "UPDATE choice SET choice_text = 'In a bar' WHERE choice_text = 'In a café'")

    expect(page.get_by_role("listitem").filter(has_text="In a bar")).to_be_visible()
    wait_until_live(page)
    psql(polls, "UPDATE choice SET choice_text = 'In a café' WHERE choice_text = 'In a bar'")
    expect(page.get_by_role("listitem").filter(has_text="In a café")).to_be_visible(timeout=20_000)


def test_a_poll_that_closes_reloads_its_pages(open_page: Open, polls: Polls) -> None:
    psql(
        polls,
        """
        INSERT INTO question (question_text, pub_date, closes_at) VALUES ('Now?', now(), now() + interval '9 seconds');
        INSERT INTO choice (question_id, choice_text, votes) SELECT max(id), 'Yes', 2 FROM question;
        INSERT INTO choice (question_id, choice_text, votes) SELECT max(id), 'No', 1 FROM question
        """,
    )
    (address,) = {link.get_attribute("href") for link in open_page("/").get_by_role("link", name="Now?").all()}
    form = open_page(address)
    results = open_page(f"{address}/results")
    expect(form.get_by_role("radio").first).to_be_visible()
    expect(results.locator(".leader-label")).to_have_text("leads")
    expect(results.get_by_text("This poll is open until")).to_be_visible()

    for page in (results, form):
        expect(page.get_by_text("This poll closed on")).to_be_visible(timeout=20_000)
    expect(form.get_by_role("radio")).to_have_count(0)
    expect(results.locator(".leader-label")).to_have_text("won")
    expect(results.get_by_role("heading", name="Final result")).to_be_visible()
    psql(polls, "DELETE FROM question WHERE question_text = 'Now?'")


def test_after_a_vote_the_url_of_the_results_has_no_parameter(open_page: Open, polls: Polls) -> None:
    page = open_page("/poll/3")
    page.get_by_label("The sky").check()
    page.get_by_role("button", name="Vote").click()

    wait_until_live(page)
    expect(page).to_have_url(f"{polls.url}/poll/3/results")


def test_a_page_reconnects_to_another_process_without_a_reload(browser: Browser, tmp_path: Path) -> None:
    port = free_port()
    config = {"postgres": {"embedded": "var/postgres"}}
    page = browser.new_page()
    with serving(tmp_path, f"--port={port}", config=config) as polls:
        page.goto(f"{polls.url}/poll/1/results")
        wait_until_live(page)
        page.evaluate("window.before = true")
    expect(page.get_by_text("Not live just now")).to_be_visible()
    expect(page.get_by_role("link", name="Refresh")).to_be_visible()

    with serving(tmp_path, f"--port={port}", config=config) as polls:
        wait_until_live(page)
        connection = HTTPConnection(polls.url.removeprefix("http://"))
        vote(connection)
        connection.close()
        expect(page.locator(".total")).to_have_text("1 vote in all")
        assert page.evaluate("window.before")
        page.close()


def test_a_page_is_live_only_while_the_server_hears_of_changes_and_the_page_hears_from_the_server(
    browser: Browser, polls: Polls
) -> None:
    pages = [browser.new_page() for _ in ("results", "present")]
    for page, name in zip(pages, ("results", "present"), strict=True):
        page.clock.install()
        page.goto(f"{polls.url}/poll/1/{name}")
        wait_until_live(page)
    not_live = [page.get_by_text("Not live just now") for page in pages]

    with stopped(*processes_in(Path(polls.log).parent / "var/postgres")):
        for status in not_live:
            expect(status).to_be_visible(timeout=10_000)
    for page in pages:
        wait_until_live(page)

    with stopped(polls.process.pid):  # as if the network were gone: nothing is closed
        for page, status in zip(pages, not_live, strict=True):
            page.clock.run_for(5_000)
            expect(status).to_be_hidden()
            page.clock.run_for(10_000)
            expect(status).to_be_visible()
            expect(page.get_by_role("link", name="Refresh")).to_be_visible()
    for page in pages:
        page.clock.run_for(1_000)
        wait_until_live(page)
        page.close()


@pytest.mark.parametrize("java_script", [True, False])
def test_the_result_of_a_closed_poll_is_final_and_not_live(open_page: Open, java_script: bool) -> None:
    page = open_page("/?state=closed", java_script_enabled=java_script)
    address = page.get_by_role("link", name="Tea?").get_attribute("href")
    assert address
    assert address.endswith("/results")

    for url in (address, address.replace("results", "present")):
        page = open_page(url, java_script_enabled=java_script)
        page.wait_for_timeout(500)
        expect(page.get_by_role("heading", name="Final result")).to_be_visible()
        for text in ("Live", "Not live just now", "Refresh", "leads"):
            expect(page.get_by_text(text, exact=True)).to_have_count(0)


def test_where_websockets_are_blocked_the_page_is_reloaded(browser: Browser, polls: Polls) -> None:
    page = browser.new_page()
    page.clock.install()
    page.route_web_socket(re.compile("/live$"), lambda socket: socket.close())
    page.goto(f"{polls.url}/poll/1/results")
    loaded: list[Page] = []
    page.on("load", lambda page: loaded.append(page))  # noqa: PLW0108 - Playwright can't call a list's own method

    start = monotonic()
    while not loaded and monotonic() - start < 20:
        page.clock.run_for(2_000)
        page.wait_for_timeout(20)

    assert loaded
    page.close()


def test_a_page_in_a_hidden_tab_disconnects(open_page: Open) -> None:
    page = open_page("/poll/1/results")
    wait_until_live(page)
    page.clock.install()

    page.evaluate(
        """() => {
            Object.defineProperty(document, "hidden", {configurable: true, get: () => true});
            document.dispatchEvent(new Event("visibilitychange"));
        }"""
    )
    loaded: list[Page] = []
    page.on("load", lambda page: loaded.append(page))  # noqa: PLW0108
    page.clock.run_for(31_000)
    expect(page.locator(".is-live")).to_be_hidden()
    page.clock.run_for(10_000)
    assert loaded == []

    page.evaluate(
        """() => {
            Object.defineProperty(document, "hidden", {configurable: true, get: () => false});
            document.dispatchEvent(new Event("visibilitychange"));
        }"""
    )
    wait_until_live(page)
