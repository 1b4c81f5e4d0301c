"""What voters entered stays until it can be counted, in a browser with and without JavaScript."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import Open, psql, violations
from tests.journeys.methods import CHANGE, VOTE, create_polls, mark, marked
from tests.support.processes import Polls, serving
from tests.support.refused_ballots import ACCEPT, REFUSE

BALLOTS = {"one": (0, 1, 0), "several": (1, 0, 1), "scores to 5": (5, 0), "dots": (3, 0, 2)}


@pytest.fixture(scope="module")
def polls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Polls]:
    """A server that takes the votes of two voters a minute, and keeps one poll in memory."""
    config = {"postgres": {"embedded": "var/postgres"}, "votes": {"rate_limit": 2}, "cache": {"polls": 1}}
    with serving(tmp_path_factory.mktemp("kept"), config=config) as polls:
        yield polls


def test_what_voters_entered_stays_until_it_can_be_counted(open_page: Open, polls: Polls) -> None:
    paths = create_polls(polls)
    voters = [open_page("/", width=360, java_script_enabled=scripts) for scripts in (True, False)]
    # With JavaScript, tests/journeys/test_methods.py has these mistakes.
    expect_kept(voters[1], polls, paths["several"], "several", (1, 1, 1, 1), "Select at most 3 choices.")
    expect_kept(voters[1], polls, paths["dots"], "dots", (3, 3, 3), "You can give 5 points in all.")

    psql(polls, REFUSE)
    for page in voters:
        for name, ballot in BALLOTS.items():
            expect_kept(
                page, polls, paths[name], name, ballot, "Your vote was not counted. Try again in a few seconds."
            )
        page.request.get(polls.url + paths["one"])  # now the other poll isn't in memory
        page.get_by_role("button", name=VOTE).click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Vote not counted")
    assert violations(voters[0]) == []
    psql(polls, ACCEPT)

    for page in voters:
        page.get_by_role("button", name="Try again").click()
        expect(page.get_by_role("status").first).to_have_text("Your vote has been counted.")
        page.get_by_role("link", name=CHANGE).click()
        marked(page, "dots", *BALLOTS["dots"])
    for scripts, names in [(True, ("one", "dots")), (False, ("several", "scores to 5"))]:
        page = open_page("/", width=360, java_script_enabled=scripts)
        for name in names:
            expect_kept(page, polls, paths[name], name, BALLOTS[name], "Many people have just voted from your network.")


def expect_kept(page: Page, polls: Polls, path: str, name: str, ballot: tuple[int, ...], reason: str) -> None:
    """Vote, and expect that the page says `reason` and has the same ballot."""
    page.goto(polls.url + path)
    mark(page, name, *ballot)
    page.get_by_role("button", name=VOTE).click()
    expect(page.get_by_role("alert")).to_contain_text(reason)
    marked(page, name, *ballot)
