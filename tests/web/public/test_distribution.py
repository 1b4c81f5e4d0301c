"""The distribution of scores below the results."""

import asyncio
from typing import Any
from xml.etree.ElementTree import Element

import pytest
from aiohttp.test_utils import TestClient

from polls.domain.settings import PollSettings
from polls.storage.postgres.connect import Connection
from tests.conftest import CaughtUp, CreatePoll
from tests.support.pages import SVG, find, parse, words

SCORE = PollSettings(method="score", most_marks=None, most_points=3, lowest_label="bad", highest_label="good")

Client = TestClient[Any, Any]

# Three voters of a poll with two choices: 3 and 0, 3 and none, 1 and 0.
BALLOTS = """
    INSERT INTO ballot (question_id, voter, marks, points) VALUES
        (1, 'a', '{1,2}', '{3,0}'), (1, 'b', '{1}', '{3}'), (1, 'c', '{1,2}', '{1,0}');
    UPDATE choice SET votes = 3, points = 7 WHERE id = 1;
    UPDATE choice SET votes = 2 WHERE id = 2;
    UPDATE question SET ballots = 3;
"""


@pytest.fixture
def scored(create_poll: CreatePoll, database: Connection) -> Connection:
    """The database with a poll, with scores from 0 to 3."""
    create_poll("Tea?", "Green", "Black", settings=SCORE)
    with database.cursor() as cursor:
        cursor.execute(BALLOTS)
    return database


async def results(client: Client, query: str = "") -> Element:
    response = await client.get(f"/poll/1/results{query}")
    assert response.status == 200
    return parse(await response.text())


def rows(page: Element) -> list[list[str]]:
    """Return, for each table, its caption and its rows below the head."""
    tables = [table for details in find(page, "details", class_="distribution") for table in find(details, "table")]
    return [[words(find(table, "caption")[0]), *map(words, find(table, "tr")[1:])] for table in tables]


def says_that_it_lags(page: Element) -> bool:
    (sentence,) = find(page, "span", class_="later-votes")
    return "hidden" not in sentence.attrib


@pytest.mark.usefixtures("scored")
async def test_results_have_a_table_of_the_scores_of_each_choice(client: Client) -> None:
    page = await results(client)

    assert rows(page) == [
        ["Green 3 ratings, 2.3 on average", "3 good 2", "2 0", "1 1", "0 bad 0"],
        ["Black 2 ratings, 0.0 on average", "3 good 0", "2 0", "1 0", "0 bad 2"],
    ]
    (details,) = find(page, "details", class_="distribution")
    assert "open" not in details.attrib
    assert words(find(details, "p")[0]).startswith("The scores of 3 voters, counted at ")
    assert not says_that_it_lags(page)
    assert [words(share) for share in find(page, "span", class_="share")] == ["2.3", "0.0"]
    bars = [bar.get("width") for bar in find(details, f"{SVG}rect", class_="fill")]
    assert bars == ["66.667", "0", "33.333", "0", "0", "0", "0", "100"]


async def test_a_voters_results_count_their_scores(client: Client, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Green", "Black", settings=SCORE)
    await client.get("/poll/1")

    page = parse(await (await client.post("/poll/1/vote", data={"points.1": "2"})).text())

    assert rows(page) == [
        ["Green 1 rating, 2.0 on average", "3 good 0", "2 1", "1 0", "0 bad 0"],
        ["Black 0 ratings", "3 good 0", "2 0", "1 0", "0 bad 0"],
    ]


async def test_a_distribution_that_lags_says_so(client: Client, scored: Connection, caught_up: CaughtUp) -> None:
    await results(client)
    with scored.cursor() as cursor:
        cursor.execute(
            """
            UPDATE ballot SET points = '{2}' WHERE voter = 'b';
            UPDATE choice SET points = 6 WHERE id = 1;
            """
        )
    await caught_up(client)

    page = await results(client)
    assert says_that_it_lags(page)
    assert rows(page)[0][0] == "Green 3 ratings, 2.3 on average"
    await asyncio.sleep(1)

    page = await results(client)
    assert not says_that_it_lags(page)
    assert rows(page)[0] == ["Green 3 ratings, 2.0 on average", "3 good 1", "2 1", "1 1", "0 bad 0"]


@pytest.mark.parametrize("method", ["single", "multiple", "dots"])
async def test_other_methods_and_polls_without_votes_have_none(
    client: Client, create_poll: CreatePoll, method: str
) -> None:
    settings = {
        "single": PollSettings(),
        "multiple": PollSettings(method="multiple", most_marks=None),
        "dots": PollSettings(method="dots", most_marks=None, most_points=3, budget=3),
    }
    create_poll("Tea?", "Green", votes=(1,) if method != "dots" else (), settings=settings[method])
    create_poll("Empty?", "Green", settings=SCORE)

    assert rows(await results(client)) == []
    assert '<details class="distribution">' not in await (await client.get("/poll/2/results")).text()


async def test_results_wait_for_no_slow_count(client: Client, scored: Connection) -> None:
    loop = asyncio.get_running_loop()
    await client.get("/poll/1")  # reads the poll
    with scored.cursor() as cursor:
        cursor.execute("BEGIN; LOCK TABLE ballot")
        begin = loop.time()

        page = await results(client)

        assert loop.time() - begin < 1
        cursor.execute("ROLLBACK")
    assert rows(page) == []
    assert [words(share) for share in find(page, "span", class_="share")] == ["2.3", "0.0"]


async def test_without_new_votes_results_are_the_same_bytes_and_nothing_is_counted(
    client: Client, scored: Connection
) -> None:
    first = await client.get("/poll/1/results")
    await asyncio.sleep(1)
    with scored.cursor() as cursor:
        cursor.execute("BEGIN; LOCK TABLE ballot")

        again = await client.get("/poll/1/results")

        cursor.execute("ROLLBACK")
    assert await again.read() == await first.read()
    assert again.headers["ETag"] == first.headers["ETag"]
