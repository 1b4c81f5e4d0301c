"""Who sees the results, from asking to the end: an owner and a voter on phones, each in another language.

One of the two has no JavaScript.
"""

from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import Open, violations

ENGLISH = {
    "locale": "en-GB",
    "question": "Question",
    "choice": "Choice",
    "who sees": "Who sees the results",
    "always": "Everyone, at any time",
    "after_vote": "Voters, after voting",
    "after_close": "Everyone, after the end",
    "owner": "Only the owner",
    "sealed": "Sealed: not even I see them before the end",
    "votes needed": "Votes needed",
    "ask": "Ask",
    "vote": "Vote",
    "counted": "Your vote has been counted.",
    "voted for": "You voted for: Green",
    "close": "Close now",
    "closing": "Yes, close",
    "results": "Results",
    "download": "Download",
    "until vote": "Vote to see the results.",
    "until close": "The results will be shown when the poll has closed.",
    "until sealed": "Until then, no page shows them, not even to the owner of this poll.",
    "until never": "Only the owner of this poll sees the results.",
    "until enough": "The results will be shown from 2 votes on.",
    "turnout": "1 vote so far",
    "turnout of 2": "1 of 2 votes",
}
CHINESE = {
    "locale": "zh-CN",
    "question": "问题",
    "choice": "选项",
    "who sees": "谁可以看到结果",
    "always": "所有人，随时",
    "after_vote": "投票人，投票后",
    "after_close": "所有人，投票结束后",
    "owner": "仅发起人",
    "sealed": "密封：投票结束前连我也看不到",
    "votes needed": "所需票数",
    "ask": "提问",
    "vote": "投票",
    "counted": "您的投票已计入。",
    "voted for": "您投给了： Green",
    "close": "立即截止",
    "closing": "是，截止",
    "results": "结果",
    "download": "下载",
    "until vote": "投票后即可查看结果。",
    "until close": "投票截止后公布结果。",
    "until sealed": "在此之前，任何页面都不显示结果，发起人也看不到。",
    "until never": "只有此投票的发起人可以看到结果。",
    "until enough": "满 2 票后显示结果。",
    "turnout": "目前共 1 票",
    "turnout of 2": "1 / 2 票",
}


class Seen(NamedTuple):
    """Settings of a poll, and until when its results are hidden: None where they are shown."""

    results: str
    owner: str | None = None
    stranger: str | None = None
    voter: str | None = None
    after_the_end: str | None = None
    is_sealed: bool = False
    votes_needed: str = ""


CASES = {
    "always": Seen("always"),
    "after voting": Seen("after_vote", stranger="until vote"),
    "after the end": Seen("after_close", stranger="until close", voter="until close"),
    "sealed": Seen("after_close", "until sealed", "until sealed", "until sealed", is_sealed=True),
    "owner only": Seen("owner", stranger="until never", voter="until never", after_the_end="until never"),
    "from two": Seen("always", "until enough", "until enough", "until enough", votes_needed="2"),
}


class Phone:
    """A page on a phone, with the words of its language. Axe checks it if `uses_axe`; it hangs without JavaScript."""

    def __init__(
        self, open_page: Open, words: dict[str, str], *, has_script: bool, uses_axe: bool, color_scheme: str
    ) -> None:
        self.page: Page = open_page(
            "/ask", width=360, locale=words["locale"], java_script_enabled=has_script, color_scheme=color_scheme
        )
        self.words = words
        self.uses_axe = uses_axe and has_script

    def open(self, url: str) -> None:
        self.page.goto(url)

    def press(self, name: str) -> None:
        self.page.locator("main :is(a, button)").get_by_text(self.words[name], exact=True).click()

    def check(self) -> None:
        """Check that the page fits, and that it is accessible."""
        assert self.page.evaluate("document.documentElement.scrollWidth") == 360
        assert not self.uses_axe or violations(self.page) == []

    def ask(self, seen: Seen) -> str:
        """Ask a question whose results are `seen` by some, and return the poll's URL."""
        page, words = self.page, self.words
        page.get_by_label(words["question"], exact=True).fill("Tea?")
        for number, choice in enumerate(("Green", "Black"), start=1):
            page.get_by_label(f"{words['choice']} {number}", exact=True).fill(choice)
        part = page.locator("details", has_text=words["who sees"])
        part.locator("summary").click()
        part.get_by_role("radio", name=words[seen.results], exact=True).check()
        if seen.is_sealed:
            part.get_by_label(words["sealed"]).and_(part.locator(f"[value={seen.results}]")).check()
        part.get_by_label(words["votes needed"]).fill(seen.votes_needed)
        self.check()
        self.press("ask")
        expect(page.get_by_role("heading", level=1)).to_contain_text("Tea?")
        return page.url.removesuffix("/manage")

    def vote(self, poll: str) -> None:
        self.open(poll)
        self.page.get_by_label("Green").check()
        self.press("vote")
        expect(self.page.get_by_role("status").first).to_have_text(self.words["counted"])

    def close(self, poll: str) -> None:
        self.open(f"{poll}/manage")
        self.press("close")
        self.press("closing")

    def expect_results(self, hidden_until: str | None, *, says: str = "") -> None:
        """Expect the results on the page, or the sentences why they are hidden."""
        results, hidden = self.page.locator(".poll-results"), self.page.locator(".hidden-results")
        if hidden_until is None:
            expect(results).to_contain_text("Black")
            expect(hidden).to_have_count(0)
        else:
            expect(hidden).to_contain_text(self.words[hidden_until])
            expect(hidden).to_contain_text(self.words[says] if says else "")
            expect(results).to_have_count(0)
        self.check()

    def expect_file(self, poll: str, *, is_shown: bool) -> None:
        """Expect that the page links to the file of the results, and that it can be downloaded."""
        unfold = self.page.locator("summary", has_text=self.words["download"])
        expect(unfold).to_have_count(1 if is_shown else 0)
        if not is_shown:
            assert self.page.request.get(f"{poll}/results.csv").status == 403
            return
        unfold.click()
        with self.page.expect_download() as download:
            self.page.get_by_role("link", name="CSV", exact=True).click()
        assert "Green" in Path(download.value.path()).read_text(encoding="utf-8-sig")


@pytest.mark.parametrize(
    ("case", "owners_words", "owner_has_script"),
    [
        ("always", ENGLISH, True),
        ("after voting", CHINESE, False),
        ("after the end", CHINESE, True),
        ("sealed", ENGLISH, False),
        ("owner only", ENGLISH, True),
        ("from two", CHINESE, True),
    ],
    ids=CASES,
)
def test_those_who_may_see_the_results_do_from_asking_to_the_end(
    open_page: Open, case: str, owners_words: dict[str, str], *, owner_has_script: bool
) -> None:
    seen, uses_axe = CASES[case], case in {"sealed", "from two"}  # which have all that others have
    words = CHINESE if owners_words is ENGLISH else ENGLISH
    owner = Phone(open_page, owners_words, has_script=owner_has_script, uses_axe=uses_axe, color_scheme="light")
    voter = Phone(open_page, words, has_script=not owner_has_script, uses_axe=uses_axe, color_scheme="dark")
    turnout = "turnout of 2" if seen.votes_needed else "turnout"

    poll = owner.ask(seen)
    owner.expect_results(seen.owner)
    voter.open(f"{poll}/results")
    voter.expect_results(seen.stranger)
    voter.expect_file(poll, is_shown=seen.stranger is None)

    voter.vote(poll)
    assert voter.page.url.partition("?")[0] == f"{poll}/{'ballot' if seen.voter else 'results'}"
    if seen.voter:
        expect(voter.page.locator(".own-ballot")).to_have_text(words["voted for"])
    voter.expect_results(seen.voter, says=turnout)
    owner.open(f"{poll}/manage")
    owner.expect_results(seen.owner, says=turnout)
    owner.expect_file(poll, is_shown=seen.owner is None)

    voter.open("about:blank")  # not to meet a page that turns by itself
    if seen.votes_needed:
        owner.vote(poll)
        owner.expect_results(None)
    owner.close(poll)
    owner.expect_results(None)
    voter.open(f"{poll}/results")
    voter.expect_results(seen.after_the_end)
    voter.expect_file(poll, is_shown=seen.after_the_end is None)
