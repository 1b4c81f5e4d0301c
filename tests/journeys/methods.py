"""Polls of each method of voting, and their ballots in a browser."""

import re

from playwright.sync_api import Locator, Page, expect

from tests.support.processes import Polls, command

METHOD_POLLS = """
CREATE FUNCTION pg_temp.add(question text, settings text[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO question (question_text, pub_date) VALUES (question, now() - interval '80 days');
    INSERT INTO choice (question_id, choice_text, position)
    SELECT currval('question_id_seq'), texts.choice, texts.number FROM unnest(array[
        'Green tea', 'Coffee from the machine on the second floor, with oat milk', 'شاي بالنعناع', '乌龙茶'
    ]) WITH ORDINALITY AS texts(choice, number);
    INSERT INTO poll_settings (
        question_id, description, method, fewest_marks, most_marks, most_points, budget, lowest_label, highest_label
    ) VALUES (
        currval('question_id_seq'), E'For the meeting on Friday.\\nBring a cup.', settings[1], settings[2]::int,
        settings[3]::int, settings[4]::int, settings[5]::int, settings[6], settings[7]
    )
$$;
SELECT pg_temp.add('Which drinks do you like?', '{multiple, 2, 3, NULL, NULL, "", ""}');
SELECT pg_temp.add('Which drinks are fine?', '{multiple, 1, NULL, NULL, NULL, "", ""}');
SELECT pg_temp.add('How good are these drinks?', '{score, 1, NULL, 5, NULL, "not for me", "wonderful"}');
SELECT pg_temp.add('How strong are these drinks?', '{score, 1, NULL, 10, NULL, weak, ""}');
SELECT pg_temp.add('How much of each drink?', '{dots, 1, NULL, 3, 5, "", ""}');
SELECT max(id) - 4 FROM question;
"""
NAMES = ("several", "any number", "scores to 5", "scores to 10", "dots")
VOTE = re.compile("^(Vote|投票)$")
CHANGE = re.compile("^(Change your vote|修改我的投票)$")

Paths = dict[str, str]


def create_polls(polls: Polls) -> Paths:
    """Create polls of each method, and return {name: path of a poll}, also of a sample poll of one answer."""
    done = command(polls.log.parent, "psql", "--", "-qAt", "-c", METHOD_POLLS)
    assert done.returncode == 0, done.stderr
    first = int(done.stdout.split()[-1])
    return {"one": "/poll/1", **{name: f"/poll/{first + offset}" for offset, name in enumerate(NAMES)}}


def score(page: Page, choice: int, level: int) -> Locator:
    return page.locator("fieldset.score").nth(choice).get_by_role("radio").nth(level)


def mark(page: Page, name: str, *points: int) -> None:
    """Fill in a ballot that gives the choices, in their order, `points`; where there are none, 1 marks a choice."""
    for choice, number in enumerate(points):
        if name == "one" and number:
            page.get_by_role("radio").nth(choice).check()
        elif name == "several":
            page.get_by_role("checkbox").nth(choice).set_checked(bool(number))
        elif name == "dots":
            page.get_by_role("spinbutton").nth(choice).fill(str(number or ""))
        elif name != "one":
            score(page, choice, number).check()


def marked(page: Page, name: str, *points: int) -> None:
    """Expect that the ballot on the page gives the choices, in their order, `points`."""
    for choice, number in enumerate(points):
        if name in ("one", "several"):
            boxes = page.get_by_role("radio" if name == "one" else "checkbox")
            expect(boxes.nth(choice)).to_be_checked(checked=bool(number))
        elif name == "dots":
            expect(page.get_by_role("spinbutton").nth(choice)).to_have_value(str(number or ""))
        else:
            expect(score(page, choice, number)).to_be_checked()


def count_of(page: Page, choice: int) -> int:
    """Return the number in the results that counts a choice's marks or points."""
    found = re.search("[0-9]+", page.locator(".result .votes").nth(choice).inner_text())
    assert found is not None
    return int(found[0])
