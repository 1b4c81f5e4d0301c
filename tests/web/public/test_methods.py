"""Voting by each method: valid forms are counted, others are explained and shown again as they were sent."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from polls.config.settings import Postgres
from polls.domain.settings import DEFAULT_SETTINGS, PollSettings
from polls.storage.postgres.connect import Connection, connect
from polls.storage.recount import recount
from tests.conftest import CreatePoll
from tests.support.pages import find, parse, words

TWO_OR_THREE = PollSettings(method="multiple", fewest_marks=2, most_marks=3)
ANY_NUMBER = PollSettings(method="multiple", most_marks=None)
SCORE = PollSettings(method="score", most_marks=None, most_points=5, lowest_label="bad", highest_label="good")
DOTS = PollSettings(method="dots", most_marks=None, most_points=3, budget=5)

CHOICES = ("One", "Two", "Three", "Four")

Counts = Callable[[], list[tuple[int, int]]]


@pytest.fixture
def counts(database: Connection) -> Counts:
    """Return the votes and points of all choices, in the order of their ids."""

    def counts() -> list[tuple[int, int]]:
        with database.cursor() as cursor:
            cursor.execute("SELECT votes, points FROM choice ORDER BY id")
            return cursor.fetchall()

    return counts


async def vote(client: TestClient[Any, Any], *fields: tuple[str, str], **options: Any) -> Any:
    return await client.post("/poll/1/vote", data=fields, allow_redirects=False, **options)


def filled_in(page: Any) -> dict[str, list[str]]:
    """Return {name: values} of the fields as a browser would send them."""
    fields: dict[str, list[str]] = {}
    for field in page.iter("input"):
        if field.get("type") == "number" or field.get("checked") is not None:
            fields.setdefault(field.get("name"), []).append(field.get("value"))
    return fields


@pytest.mark.parametrize(
    ("rules", "fields", "counted"),
    [
        (DEFAULT_SETTINGS, [("choice", "2")], [(0, 0), (1, 0), (0, 0), (0, 0)]),
        (DEFAULT_SETTINGS, [("choice", "2"), ("choice", "2")], [(0, 0), (1, 0), (0, 0), (0, 0)]),
        (TWO_OR_THREE, [("choice", "4"), ("choice", "1")], [(1, 0), (0, 0), (0, 0), (1, 0)]),
        (ANY_NUMBER, [("choice", str(number)) for number in (1, 2, 3, 4)], [(1, 0)] * 4),
        (ANY_NUMBER, [("choice", "1"), ("choice", "1")], [(1, 0), (0, 0), (0, 0), (0, 0)]),
        (SCORE, [("points.1", "0"), ("points.2", "5"), ("points.3", "")], [(1, 0), (1, 5), (0, 0), (0, 0)]),
        (DOTS, [("points.1", "3"), ("points.2", "0"), ("points.4", "2")], [(1, 3), (0, 0), (0, 0), (1, 2)]),
    ],
)
async def test_a_valid_ballot_is_counted_and_shown(
    client: TestClient[Any, Any],
    create_poll: CreatePoll,
    counts: Counts,
    rules: PollSettings,
    fields: list[tuple[str, str]],
    counted: list[tuple[int, int]],
) -> None:
    create_poll("Tea?", *CHOICES, settings=rules)
    await client.get("/poll/1")

    response = await vote(client, *fields)

    assert response.status == 303
    assert counts() == counted
    form = filled_in(parse(await (await client.get("/poll/1")).text()))
    sent = {name: [value] for name, value in fields if name != "choice"}
    if chosen := sorted({value for name, value in fields if name == "choice"}):
        sent["choice"] = chosen
    if rules is DOTS:
        sent["points.2"] = sent["points.3"] = [""]  # no points are no mark
    if rules is SCORE:
        sent["points.4"] = [""]
    assert form == sent


@pytest.mark.parametrize(
    ("rules", "english", "chinese"),
    [
        (DEFAULT_SETTINGS, "Choose one answer.", "请选择一项。"),
        (TWO_OR_THREE, "Choose 2 to 3 answers.", "请选择 2 至 3 项。"),
        (ANY_NUMBER, "Choose all that you like.", "可以选择任意多项。"),
        (
            SCORE,
            "Give each choice a score from 0 to 5. A choice without a score counts as no opinion.",
            "请为每个选项打 0 至 5 分。不打分的选项视为不表态。",
        ),
        (
            DOTS,
            "Spread 5 points over the choices, or fewer. At most 3 on one choice.",
            "请在各选项之间分配 5 分，可以不用完。每个选项最多 3 分。",
        ),
    ],
)
async def test_the_rule_stands_above_the_fields(
    client: TestClient[Any, Any], create_poll: CreatePoll, rules: PollSettings, english: str, chinese: str
) -> None:
    create_poll("Tea?", *CHOICES, settings=rules)

    for language, rule in (("en", english), ("zh-CN", chinese)):
        page = parse(await (await client.get("/poll/1", headers={"Accept-Language": language})).text())
        assert words(find(page, "span", id="rule")[0]) == rule


@pytest.mark.parametrize(
    ("rules", "first", "second", "changed"),
    [
        (DEFAULT_SETTINGS, [("choice", "1")], [("choice", "4")], [(0, 0), (0, 0), (0, 0), (1, 0)]),
        (
            TWO_OR_THREE,
            [("choice", "1"), ("choice", "2")],
            [("choice", "2"), ("choice", "3"), ("choice", "4")],
            [(0, 0), (1, 0), (1, 0), (1, 0)],
        ),
        (
            SCORE,
            [("points.1", "4"), ("points.2", "1")],
            [("points.2", "5"), ("points.4", "0")],
            [(0, 0), (1, 5), (0, 0), (1, 0)],
        ),
        (
            DOTS,
            [("points.1", "3"), ("points.2", "1")],
            [("points.2", "2"), ("points.3", "3")],
            [(0, 0), (1, 2), (1, 3), (0, 0)],
        ),
    ],
)
async def test_a_ballot_that_is_changed_and_changed_back_leaves_all_counts(
    client: TestClient[Any, Any],
    create_poll: CreatePoll,
    counts: Counts,
    rules: PollSettings,
    first: list[tuple[str, str]],
    second: list[tuple[str, str]],
    changed: list[tuple[int, int]],
) -> None:
    create_poll("Tea?", *CHOICES, settings=rules)
    await client.get("/poll/1")
    await vote(client, *first)
    before = counts()

    await vote(client, *second)
    assert counts() == changed
    await vote(client, *first)

    assert counts() == before != changed


@pytest.mark.parametrize(
    ("rules", "fields", "reason"),
    [
        (TWO_OR_THREE, [], "You didn't select a choice."),
        (TWO_OR_THREE, [("choice", "1")], "Select at least 2 choices."),
        (TWO_OR_THREE, [("choice", str(number)) for number in (1, 2, 3, 4)], "Select at most 3 choices."),
        (SCORE, [], "You didn't give points to any choice."),
        (SCORE, [("points.1", "6"), ("points.2", "2")], "Points are whole numbers from 0 to 5."),
        (SCORE, [("choice", "1")], "Points are whole numbers from 0 to 5."),
        (DOTS, [("points.1", "0"), ("points.2", "")], "You didn't give points to any choice."),
        (DOTS, [("points.1", "3"), ("points.2", "3")], "You can give 5 points in all."),
        (DOTS, [("points.1", "4")], "Points are whole numbers from 0 to 3."),
        (DOTS, [("points.1", "-1"), ("points.2", "two")], "Points are whole numbers from 0 to 3."),
        (DOTS, [("points.1", "1.5"), ("points.3", "2")], "Points are whole numbers from 0 to 3."),
        (ANY_NUMBER, [("points.1", "1")], "Choices of this poll have no points. Select them again."),
        (ANY_NUMBER, [("choice", "1"), ("choice", "9")], "That choice is no longer available."),
    ],
)
async def test_an_invalid_ballot_is_explained_and_stays_as_it_was_sent(
    client: TestClient[Any, Any],
    create_poll: CreatePoll,
    counts: Counts,
    rules: PollSettings,
    fields: list[tuple[str, str]],
    reason: str,
) -> None:
    create_poll("Tea?", *CHOICES, settings=rules)

    response = await vote(client, *fields)
    page = parse(await response.text())

    assert response.status == 400
    assert [words(message) for message in find(page, "p", class_="message")] == [reason]
    assert set(counts()) == {(0, 0)}
    form = filled_in(page)
    for name, value in fields:
        if value != "9" and (rules, name) not in [(ANY_NUMBER, "points.1"), (SCORE, "choice")] and value != "6":
            assert value in form.get(name, []), form
    as_json = await vote(client, *fields, headers={"Accept": "application/json"})
    assert (as_json.status, (await as_json.json())["detail"]) == (400, reason)


@pytest.mark.parametrize(
    ("rules", "fields", "own", "total", "explanation", "row"),
    [
        (DEFAULT_SETTINGS, [("choice", "1")], ["your vote"], "1 vote in all", [], "One leads your vote 1 vote 100%"),
        (
            ANY_NUMBER,
            [("choice", "1"), ("choice", "3")],
            ["your vote", "your vote"],
            "1 voter in all",
            ["Percentages are of all voters. Each could choose several answers."],
            "One tied your vote 1 of 1 voter 100%",
        ),
        (
            SCORE,
            [("points.1", "4"), ("points.2", "0")],
            ["your vote: 4", "your vote: 0"],
            "1 voter in all",
            ["Each figure is the average of those who rated the choice, from 0 (bad) to 5 (good)."],
            "One leads your vote: 4 1 rating 4.0",
        ),
        (
            DOTS,
            [("points.1", "3"), ("points.2", "1")],
            ["your vote: 3", "your vote: 1"],
            "4 points in all, from 1 voter",
            ["Percentages are of all points that voters gave."],
            "One leads your vote: 3 3 points 75%",
        ),
    ],
)
async def test_results_explain_their_figures_and_show_the_own_vote(
    client: TestClient[Any, Any],
    create_poll: CreatePoll,
    rules: PollSettings,
    fields: list[tuple[str, str]],
    own: list[str],
    total: str,
    explanation: list[str],
    row: str,
) -> None:
    create_poll("Tea?", *CHOICES, settings=rules)
    await client.get("/poll/1")

    page = parse(await (await client.post("/poll/1/vote", data=fields)).text())

    assert [words(mark) for mark in find(page, "span", class_="own-vote")] == own
    assert [words(line) for line in find(page, "p", class_="total")] == [total]
    assert [words(line) for line in find(page, "p", class_="explanation")] == explanation
    assert words(find(page, "li", class_="result")[0]) == row


NAMES = st.sampled_from(["choice", "points.1", "points.2", "points.4", "points.9", "points.", "points.x", "points.01"])
POINTS = {"points.1", "points.2", "points.4"}
VALUES = st.sampled_from(
    ["", "0", "1", "2", "3", "5", "6", "-1", "99", "999", "1000", "1e3", "٣", " 1", "on", "\0", "9" * 40]
)


def shown_again(rules: PollSettings, sent: list[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return those of the fields that a page with the same method could have sent, as its form can show them."""
    points = {name: value for name, value in sent if re.fullmatch(r"points\.\d+", name)}
    if rules.most_points is not None:
        valid = {"0", "1", "2", "3", "5", *(["6", "-1", "99", "999", "1000", "1e3"] if rules is DOTS else [])}
        return {(name, value) for name, value in points.items() if name in POINTS and value in valid}
    chosen = {("choice", value) for name, value in sent if name == "choice" and value in {"1", "2", "3"}}
    return chosen if not points and (rules is not DEFAULT_SETTINGS or len(chosen) == 1) else set()


@pytest.mark.parametrize("rules", [DEFAULT_SETTINGS, TWO_OR_THREE, ANY_NUMBER, SCORE, DOTS])
async def test_no_form_breaks_a_method(
    client: TestClient[Any, Any], create_poll: CreatePoll, postgres: Postgres, rules: PollSettings
) -> None:
    create_poll("Tea?", *CHOICES, settings=rules)
    forms: list[list[tuple[str, str]]] = []

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(NAMES, VALUES), max_size=8))
    @example([("choice", "1"), ("choice", "99")])
    def collect(fields: list[tuple[str, str]]) -> None:
        forms.append(fields)

    collect()
    for fields in forms:
        response = await vote(client, *fields)
        assert response.status in {303, 400}, fields
        if response.status == 400:
            form = filled_in(parse(await response.text()))
            assert {(name, value) for name, value in shown_again(rules, fields) if value not in form[name]} == set()
    with connect(postgres) as connection:
        assert [(poll.is_exact, poll.invalid) for poll in recount(connection)] == [(True, 0)]
