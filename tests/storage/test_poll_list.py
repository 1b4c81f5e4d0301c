"""Reading the public list of polls."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from polls.domain.poll import State
from polls.domain.poll_list import PAGE_SIZE, ListedPoll, ListQuery
from polls.storage import poll_list, questions
from polls.storage.postgres.connect import Connection
from polls.storage.postgres.pool import Database
from polls.web.keys import DATABASE
from tests.conftest import CreatePoll

DAY = timedelta(days=1)

# Published or not: (age, number of choices).
CORNERS = [
    (400 * DAY, 2),
    (timedelta(seconds=1), 1),
    (timedelta(seconds=1), 0),
    (timedelta(seconds=-60), 2),
    (-400 * DAY, 2),
    (400 * DAY, 0),
]


@pytest.fixture
def pool(client: TestClient) -> Database:
    return client.app[DATABASE]  # type: ignore[union-attr]


async def listed(pool: Database, query: ListQuery = ListQuery()) -> list[str]:  # noqa: B008 - it is immutable
    return [poll.question.text for poll in (await poll_list.read(pool, query)).polls]


@pytest.mark.parametrize(("ago", "choices"), CORNERS)
async def test_published_means_the_same_in_sql_and_in_the_domain(
    pool: Database, create_poll: CreatePoll, ago: timedelta, choices: int
) -> None:
    poll = create_poll("Tea?", *["Yes", "No"][:choices], ago=ago)

    found = await questions.find(pool, poll.question.id)

    assert found == poll
    assert (await listed(pool) == ["Tea?"]) is found.is_published


async def test_polls_that_are_not_listed_or_hidden_are_left_out(
    pool: Database, create_poll: CreatePoll, database: Connection
) -> None:
    create_poll("Tea?", "Yes")
    create_poll("unlisted", "Yes", slug="k7m2q9xdtb")
    create_poll("hidden", "Yes")
    with database.cursor() as cursor:
        cursor.execute("UPDATE question SET hidden_at = now() WHERE question_text = 'hidden'")

    assert await listed(pool) == ["Tea?"]
    assert (await poll_list.read(pool, ListQuery())).count == 1
    assert await listed(pool, ListQuery(words="yes")) == ["Tea?"]


async def test_unlisted_polls_are_not_read_for_a_page_of_the_list(
    pool: Database, create_poll: CreatePoll, database: Connection
) -> None:
    """With 200,000 of them, measured by hand, a page took 0.1 ms in PostgreSQL, and the count of 1,000 polls 5 ms."""
    for _ in range(PAGE_SIZE + 1):
        create_poll("Tea?", "Yes", ago=9 * DAY)
    values = {"max_count": 1001, "skip": 0, "limit": PAGE_SIZE + 1}
    with database.cursor() as cursor:
        # Without triggers, which would take a minute. These polls would be the first in the list.
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(
            "INSERT INTO question (question_text, pub_date, slug, is_listed) "
            "SELECT 'Lunch?', now(), 'k' || n, false FROM generate_series(100, 20000) n"
        )
        cursor.execute(
            "INSERT INTO choice (question_id, choice_text) SELECT id, 'Yes' FROM question WHERE NOT is_listed"
        )
        cursor.execute("RESET session_replication_role; ANALYZE question, choice")
        rows = []
        for statement in poll_list.statements(None, has_words=False):
            cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + statement, values)
            (((plan,),),) = cursor.fetchall()
            rows.append(sum(rows_read(plan["Plan"])))

    assert await listed(pool) == ["Tea?"] * PAGE_SIZE
    assert max(rows) <= 10 * PAGE_SIZE


def rows_read(node: dict[str, Any]) -> Iterator[int]:
    """Yield how many rows each node of a plan has read from tables."""
    if "Relation Name" in node:
        yield int((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"])
    for child in node.get("Plans", []):
        yield from rows_read(child)


async def test_the_next_transition_is_the_earliest_in_the_future(pool: Database, create_poll: CreatePoll) -> None:
    assert await poll_list.next_transition(pool) is None
    for days in (-4, -3, 5):
        create_poll(f"{days} days ago", "Yes", ago=days * DAY)

    published = await poll_list.next_transition(pool)
    create_poll("closes", "Yes", closed=-2 * DAY)
    closed = await poll_list.next_transition(pool)

    assert published
    assert closed
    assert 2 * DAY < published - datetime.now(UTC) < 3 * DAY + timedelta(minutes=1)
    assert DAY < closed - datetime.now(UTC) < 2 * DAY + timedelta(minutes=1)


async def test_a_page_has_five_polls_the_number_of_all_and_whether_older_ones_follow(
    pool: Database, create_poll: CreatePoll
) -> None:
    for days in range(1, PAGE_SIZE + 3):
        create_poll(f"{days}", "Yes", "No", ago=days * DAY)

    first, second = [await poll_list.read(pool, ListQuery(page=number)) for number in (1, 2)]

    assert [poll.question.text for poll in first.polls] == ["1", "2", "3", "4", "5"]
    assert [poll.question.text for poll in second.polls] == ["6", "7"]
    assert (first.count, first.last, first.has_older) == (7, 2, True)
    assert (second.count, second.last, second.has_older) == (7, 2, False)


async def test_polls_are_counted_up_to_a_limit(pool: Database, database: Connection) -> None:
    with database.cursor() as cursor:
        cursor.execute("INSERT INTO question (question_text, pub_date) SELECT n, now() FROM generate_series(1, 1100) n")
        cursor.execute("INSERT INTO choice (question_id, choice_text) SELECT id, 'Yes' FROM question")

    page = await poll_list.read(pool, ListQuery(page=220))

    assert (page.count, page.last, page.has_older) == (1001, None, False)
    assert len(page.polls) == PAGE_SIZE


async def test_a_closed_poll_has_the_choices_with_the_most_votes(pool: Database, create_poll: CreatePoll) -> None:
    create_poll("open", "Yes", "No", votes=(2, 1), ago=1 * DAY)
    create_poll("decided", "Yes", "No", votes=(2, 1), ago=2 * DAY, closed=DAY)
    create_poll("tied", "Yes", "No", "Never", votes=(2, 2, 1), ago=3 * DAY, closed=DAY)
    create_poll("unnoticed", "Yes", "No", ago=4 * DAY, closed=DAY)

    page = await poll_list.read(pool, ListQuery())

    def result(poll: ListedPoll) -> tuple[str, int, bool, tuple[str, ...]]:
        return poll.question.text, poll.ballots, poll.is_closed, poll.leaders

    assert list(map(result, page.polls)) == [
        ("open", 3, False, ()),
        ("decided", 3, True, ("Yes",)),
        ("tied", 5, True, ("Yes", "No")),
        ("unnoticed", 0, True, ()),
    ]


async def test_polls_are_found_by_state_and_by_words_of_question_and_choices(
    pool: Database, create_poll: CreatePoll
) -> None:
    create_poll("Tea?", "Yes", "No", ago=3 * DAY)
    create_poll("Tea or café?", "Yes", "No", ago=2 * DAY, closed=DAY)
    create_poll("Café au lait?", "Yes", "No", ago=1 * DAY, closed=-DAY)
    create_poll("Tea tomorrow?", "Yes", ago=-1 * DAY)

    expected = {
        ListQuery(State.OPEN): ["Café au lait?", "Tea?"],
        ListQuery(State.CLOSED): ["Tea or café?"],
        ListQuery(words="tea"): ["Tea or café?", "Tea?"],
        ListQuery(words="CAF tea"): ["Tea or café?"],
        ListQuery(words="yes"): ["Café au lait?", "Tea or café?", "Tea?"],
        ListQuery(State.OPEN, "tea"): ["Tea?"],
        ListQuery(words="juice"): [],
        ListQuery(words="?!"): [],
        ListQuery(words="100% 'quoted' \\ %s"): [],
    }
    assert {query: await listed(pool, query) for query in expected} == expected
