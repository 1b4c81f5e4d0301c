"""Results and ballots as files, read again by the programs' own libraries."""

import asyncio
import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import openpyxl
import pytest
from aiohttp.test_utils import TestClient

from polls.aio import CountedSemaphore
from polls.domain.settings import PollSettings, Results
from polls.storage.postgres.connect import Connection
from polls.web.public import ballot_exports
from polls.web.public.ballot_exports import EXPORT_SLOT, MAX_WAITING
from tests.conftest import CreatePoll
from tests.support.pages import find, links, parse, words

Client = TestClient[Any, Any]

HOSTILE = (
    *("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "＝1+1", '=HYPERLINK("http://evil","x")'),
    *(
        'say "tea", please',
        "two\nlines",
        "two\r\nlines",
        ",",
        ";",
        "'",
        '"',
        "שלום",
        "\u202eevil",
        "茶",
        "🍵",
        "007",
        "1e9",
    ),
    *("http://example.org", "NULL", "<b>", "_x0041_", "a\x0bb"),
)
FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", " =", "＝")


async def rows_of(client: Client, path: str, **headers: str) -> list[list[str]]:
    """Return the rows of a CSV file."""
    response = await client.get(path, headers=headers)
    assert response.status == 200
    assert response.content_type == "text/csv"
    content = (await response.read()).decode()
    assert content.startswith("\ufeff")
    assert content.endswith("\r\n")
    return list(csv.reader(io.StringIO(content[1:], newline=""), strict=True))


async def cells_of(client: Client, path: str) -> list[list[Any]]:
    """Return the cells of the only worksheet of an XLSX file."""
    response = await client.get(path)
    assert response.status == 200
    workbook = openpyxl.load_workbook(io.BytesIO(await response.read()))
    (sheet,) = workbook.worksheets
    return [list(row) for row in sheet.iter_rows()]


async def document_of(client: Client, path: str) -> Any:
    response = await client.get(path)
    assert response.status == 200
    assert response.content_type == "application/json"
    return json.loads(await response.read())


def vote(database: Connection, ballots: str) -> None:
    """Insert ballots, each `(voter, marks, points)`, into poll 1, and count them."""
    with database.cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO ballot (question_id, voter, marks, points)
            SELECT 1, voter, marks::integer[], points::smallint[] FROM (VALUES {ballots}) AS row (voter, marks, points);
            UPDATE choice SET
                votes = (SELECT count(*) FROM ballot WHERE choice.id = ANY (marks)),
                points = (
                    SELECT coalesce(sum(mark.points), 0)
                    FROM ballot, unnest(marks, ballot.points) AS mark (id, points)
                    WHERE mark.id = choice.id
                );
            UPDATE question SET ballots = (SELECT count(*) FROM ballot);
            """
        )


async def test_results_are_a_table_with_a_head(client: Client, create_poll: CreatePoll) -> None:
    poll = create_poll("Tea, or coffee?", "Tea", "Coffee", "Milk", votes=(2, 1, 0))

    rows = await rows_of(client, "/poll/1/results.csv")

    assert [len(row) for row in rows] == [3] * len(rows)
    about = {name: value for name, value, _ in rows[:6]}
    counted = datetime.strptime(about.pop("Counted"), "%d %B %Y %H:%M %Z").replace(tzinfo=UTC)
    assert abs(counted - datetime.now(UTC)) < timedelta(minutes=2)
    assert about == {
        "Question": "Tea, or coffee?",
        "How to vote": "One answer",
        "State": "Open",
        "Revision": str(poll.revision),
        "Ballots": "3",
    }
    assert rows[6:] == [
        ["", "", ""],
        ["Choice", "Votes", "Share of votes"],
        ["Tea", "2", "67%"],
        ["Coffee", "1", "33%"],
        ["Milk", "0", "0%"],
    ]


async def test_results_are_in_the_language_of_the_reader(client: Client, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes", closed=timedelta(0))

    rows = await rows_of(client, "/poll/1/results.csv", **{"Accept-Language": "zh-CN"})

    assert [row[0] for row in rows[:7]] == ["问题", "投票方式", "状态", "截止时间", "统计时间", "版本", "选票"]
    assert rows[2][1] == "已截止"
    assert rows[8] == ["选项", "票数", "得票率"]


@pytest.mark.parametrize(
    ("settings", "header", "first", "second"),
    [
        (
            PollSettings(method="multiple", most_marks=None),
            ["Choice", "Votes", "Share of voters"],
            ["Tea", "3", "100%"],
            ["Milk", "1", "33%"],
        ),
        (
            PollSettings(method="score", most_marks=None, most_points=5),
            ["Choice", "Ratings", "Points", "Average"],
            ["Tea", "3", "10", "3.3"],
            ["Milk", "1", "0", "0.0"],
        ),
        (
            PollSettings(method="dots", most_marks=None, most_points=10, budget=10),
            ["Choice", "Votes", "Points", "Share of points"],
            ["Tea", "3", "10", "100%"],
            ["Milk", "1", "0", "0%"],
        ),
    ],
)
async def test_each_method_has_its_columns(
    client: Client,
    database: Connection,
    create_poll: CreatePoll,
    settings: PollSettings,
    header: list[str],
    first: list[str],
    second: list[str],
) -> None:
    create_poll("Tea?", "Tea", "Milk", settings=settings)
    points = settings.most_points is not None
    vote(
        database,
        "('a'::bytea, '{1,2}', '{5,0}'), ('b', '{1}', '{4}'), ('c', '{1}', '{1}')"
        if points
        else "('a'::bytea, '{1,2}', NULL), ('b', '{1}', NULL), ('c', '{1}', NULL)",
    )

    rows = await rows_of(client, "/poll/1/results.csv")
    cells = await cells_of(client, "/poll/1/results.xlsx")

    assert rows[-3:] == [header, first, second]
    assert [cell.value for cell in cells[-3]] == header
    numbers = [cell.value for cell in cells[-1][1:]]
    assert numbers[0] == 1
    assert all(isinstance(number, int | float) for number in numbers)
    document = await document_of(client, "/poll/1/results.json")
    assert document["choices"][0]["votes"] == 3
    assert document["choices"][0].get("points") == (10 if points else None)


async def test_hostile_texts_come_out_as_they_went_in(client: Client, create_poll: CreatePoll) -> None:
    create_poll("=cmd|' /C calc'!A0", *HOSTILE)

    rows = await rows_of(client, "/poll/1/results.csv")
    cells = await cells_of(client, "/poll/1/results.xlsx")
    document = await document_of(client, "/poll/1/results.json")
    ballots = await rows_of(client, "/poll/1/ballots.csv")

    defused = [f"'{text}" if text.startswith(FORMULAS) else text for text in HOSTILE]
    assert [row[0] for row in rows[-len(HOSTILE) :]] == defused
    assert ballots[-1][1:] == defused
    assert rows[0][1] == ballots[0][1] == "'=cmd|' /C calc'!A0"
    assert [choice["text"] for choice in document["choices"]] == list(HOSTILE)
    choices = [row[0] for row in cells[-len(HOSTILE) :]]
    assert {cell.data_type for row in cells for cell in row} <= {"s", "n"}
    assert {cell.data_type for cell in [*choices, cells[0][1]]} == {"s"}
    assert all(cell.hyperlink is None for row in cells for cell in row)
    assert len(choices) == len(HOSTILE)
    for cell, text in zip(choices, HOSTILE, strict=True):
        assert cell.value.replace("_x000D_", "\r").replace("_x005F_", "_").replace("_x000B_", "\x0b") == text


async def test_a_hundred_choices_and_small_shares(
    client: Client, database: Connection, create_poll: CreatePoll
) -> None:
    create_poll("Tea?", *(f"Tea {number}" for number in range(100)))
    with database.cursor() as cursor:
        cursor.execute("UPDATE choice SET votes = CASE id WHEN 1 THEN 9999 WHEN 2 THEN 1 ELSE 0 END")

    rows = await rows_of(client, "/poll/1/results.csv")
    cells = await cells_of(client, "/poll/1/results.xlsx")

    assert len(rows) == len(cells) == 8 + 100
    assert rows[8:11] == [["Tea 0", "9999", ">99%"], ["Tea 1", "1", "<1%"], ["Tea 2", "0", "0%"]]
    assert [cell.value for cell in cells[9]] == ["Tea 1", 1, "<1%"]
    assert (cells[10][2].value, cells[10][2].number_format) == (0, "0%")


async def test_json_has_the_counts(client: Client, create_poll: CreatePoll) -> None:
    poll = create_poll("Tea?", "Yes", "No", votes=(3, 1), slug="tea-time", closed=timedelta(hours=-1))

    document = await document_of(client, "/poll/tea-time/results.json")

    assert poll.question.closes_at
    assert abs(datetime.fromisoformat(document.pop("counted_at")) - datetime.now(UTC)) < timedelta(minutes=1)
    assert document == {
        "slug": "tea-time",
        "question": "Tea?",
        "method": "single",
        "state": "open",
        "published_at": poll.question.pub_date.isoformat(),
        "closes_at": poll.question.closes_at.isoformat(),
        "revision": poll.revision,
        "ballots": 4,
        "choices": [
            {"id": 1, "text": "Yes", "votes": 3, "share": 75, "leads": True},
            {"id": 2, "text": "No", "votes": 1, "share": 25, "leads": False},
        ],
    }


async def test_ballots_are_each_different_one_and_how_often(
    client: Client, database: Connection, create_poll: CreatePoll
) -> None:
    create_poll("Tea?", "Tea", "Milk", "Cake", settings=PollSettings(method="score", most_marks=None, most_points=5))
    vote(database, "('a'::bytea, '{1,3}', '{5,0}'), ('b', '{2}', '{3}'), ('c', '{2}', '{3}')")

    rows = await rows_of(client, "/poll/1/ballots.csv")
    document = await document_of(client, "/poll/1/ballots.json")

    assert rows[5][:2] == ["Ballots", "3"]
    assert rows[7:] == [["Ballots", "Tea", "Milk", "Cake"], ["2", "", "3", ""], ["1", "5", "", "0"]]
    assert document["choices"] == [{"id": 1, "text": "Tea"}, {"id": 2, "text": "Milk"}, {"id": 3, "text": "Cake"}]
    assert document["different_ballots"] == [
        {"ballots": 2, "choices": [2], "points": [3]},
        {"ballots": 1, "choices": [1, 3], "points": [5, 0]},
    ]


async def test_ballots_of_one_answer_are_marked_with_one(client: Client, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes", "No", votes=(2, 1))

    assert (await rows_of(client, "/poll/1/ballots.csv"))[-2:] == [["2", "1", ""], ["1", "", "1"]]


async def test_a_poll_without_ballots_has_empty_files(client: Client, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes")

    assert (await rows_of(client, "/poll/1/ballots.csv"))[-1] == ["Ballots", "Yes"]
    assert (await document_of(client, "/poll/1/ballots.json"))["different_ballots"] == []


async def test_more_ballots_than_a_batch_are_all_there(
    client: Client, database: Connection, create_poll: CreatePoll, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_poll("Tea?", *(f"Tea {number}" for number in range(60)), settings=PollSettings("", "multiple", 1, None))
    with database.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO ballot (question_id, voter, marks)
            SELECT 1, uuid_send(gen_random_uuid()), ARRAY[one, other]
            FROM generate_series(1, 60) AS one, generate_series(1, 60) AS other WHERE one < other;
            UPDATE question SET ballots = 1770
            """
        )

    rows = await rows_of(client, "/poll/1/ballots.csv")
    document = await document_of(client, "/poll/1/ballots.json")

    assert len({tuple(row) for row in rows[8:]}) == len(rows[8:]) == 1770
    assert len(document["different_ballots"]) == 1770
    for limit, value in (("MAX_SECONDS", 0), ("MAX_BYTES", 10_000)):
        monkeypatch.setattr(ballot_exports, limit, value)
        refused = await client.get("/poll/1/ballots.csv")
        monkeypatch.undo()
        assert refused.status == 403
        assert "too many different ballots" in await refused.text()
    assert (await client.get("/poll/1/ballots.csv")).status == 200


async def test_ballots_are_read_one_at_a_time_and_others_are_refused(
    client: Client, create_poll: CreatePoll, database: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_poll("Tea?", "Yes", votes=(1,))
    assert client.app
    slot: CountedSemaphore = client.app[EXPORT_SLOT]
    await slot.acquire()
    waiting = [asyncio.create_task(client.get("/poll/1/ballots.csv")) for _ in range(MAX_WAITING)]
    async with asyncio.timeout(10):
        while slot.waiting < MAX_WAITING:
            await asyncio.sleep(0.01)

    refused = await client.get("/poll/1/ballots.json")
    await client.get("/poll/1")
    voted = await client.post("/poll/1/vote", data={"choice": "1"}, allow_redirects=False)
    monkeypatch.setattr(ballot_exports, "MAX_WAIT", 0.01)
    slot.waiting = 0
    too_late = await client.get("/poll/1/ballots.json")
    slot.waiting = MAX_WAITING
    slot.release()

    assert too_late.status == 503
    assert (refused.status, refused.headers["Retry-After"]) == (503, "3")
    assert voted.status == 303
    assert [(await task).status for task in waiting] == [200] * MAX_WAITING
    with database.cursor() as cursor:
        cursor.execute("SELECT ballots FROM question")
        assert cursor.fetchone() == (2,)


@pytest.mark.parametrize("name", ["results.csv", "results.json", "results.xlsx", "ballots.csv", "ballots.json"])
async def test_files_are_downloads_that_no_cache_keeps(client: Client, create_poll: CreatePoll, name: str) -> None:
    create_poll("Tea?", "Yes", slug="tea-time")
    path = f"/poll/tea-time/{name}"

    response = await client.get(path)
    head = await client.head(path)

    assert response.headers["Content-Disposition"] == f'attachment; filename="tea-time-{name}"'
    assert response.headers["Cache-Control"] == "private, no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert head.status == 200
    assert head.headers["Content-Type"] == response.headers["Content-Type"]
    assert (await client.post(path)).status == 405
    assert (await client.get(f"/poll/99/{name}")).status == 404


async def test_files_of_a_poll_that_is_not_published_are_not_there(client: Client, create_poll: CreatePoll) -> None:
    create_poll("Later?", "Yes", ago=timedelta(days=-1))

    assert [(await client.get(f"/poll/1/{name}")).status for name in ("results.csv", "ballots.json")] == [404, 404]


async def test_results_link_to_the_files(client: Client, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes")

    page = parse(await (await client.get("/poll/1/results")).text())

    (details,) = find(page, "details", class_="download")
    assert links(details) == {
        "Spreadsheet (XLSX)": "/poll/1/results.xlsx",
        "CSV": "/poll/1/results.csv",
        "JSON": "/poll/1/results.json",
    } | {"Ballots (CSV)": "/poll/1/ballots.csv", "Ballots (JSON)": "/poll/1/ballots.json"}


FILES = ("results.csv", "results.json", "results.xlsx", "ballots.csv", "ballots.json")


async def test_those_who_may_not_see_the_results_get_the_reason_and_no_file(
    client: Client, create_poll: CreatePoll
) -> None:
    create_poll("Tea?", "Yes", "No", votes=(2, 1), settings=PollSettings(results=Results.AFTER_CLOSE, results_from=5))
    sentences = []

    for name in FILES:
        response = await client.get(f"/poll/1/{name}", headers={"Accept": "application/json"})
        page = await client.get(f"/poll/1/{name}", headers={"Accept": "text/html"})
        assert response.status == page.status == 403
        assert "Content-Disposition" not in response.headers
        assert response.headers["Cache-Control"] == page.headers["Cache-Control"] == "no-store"
        sentences.append((await response.json())["detail"])
        assert "Back to the poll" in await page.text()

    hidden = find(parse(await (await client.get("/poll/1/results")).text()), "section", class_="hidden-results")
    lines = [words(line) for line in find(hidden[0], "p") if line.get("class") in {None, "turnout"}]
    assert set(sentences) == {" ".join(lines)}
    assert sentences[0].startswith("The results will be shown when the poll has closed.")
    assert "/poll/1/results.csv" not in await (await client.get("/poll/1/results")).text()


async def test_a_voter_gets_the_files_where_voters_see_the_results(client: Client, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes", "No", settings=PollSettings(results=Results.AFTER_VOTE))
    await client.get("/poll/1")
    before = [(await client.get(f"/poll/1/{name}")).status for name in FILES]
    await client.post("/poll/1/vote", data={"choice": "2"})

    assert before == [403] * len(FILES)
    assert [(await client.get(f"/poll/1/{name}")).status for name in FILES] == [200] * len(FILES)
    assert (await rows_of(client, "/poll/1/ballots.csv"))[-1] == ["1", "", "1"]
    client.session.cookie_jar.clear()
    assert [(await client.get(f"/poll/1/{name}")).status for name in FILES] == [403] * len(FILES)


async def test_ballots_are_hidden_by_the_state_that_is_exported(
    client: Client, create_poll: CreatePoll, database: Connection
) -> None:
    create_poll("Tea?", "Yes", votes=(1,))
    assert client.app
    slot = client.app[EXPORT_SLOT]
    await slot.acquire()
    waiting = asyncio.create_task(client.get("/poll/1/ballots.csv"))
    async with asyncio.timeout(10):
        while not slot.waiting:
            await asyncio.sleep(0.01)
    with database.cursor() as cursor:
        cursor.execute("INSERT INTO poll_settings (question_id, results) VALUES (1, 'owner')")
    slot.release()

    assert (await waiting).status == 403


async def test_the_owner_gets_the_files_before_others_but_not_those_of_a_sealed_poll(
    ada: Client, create_poll: CreatePoll
) -> None:
    create_poll("Tea?", "Yes", votes=(1,), settings=PollSettings(results=Results.OWNER))
    create_poll("Sealed?", "Yes", votes=(1,), settings=PollSettings(results=Results.AFTER_CLOSE, is_sealed=True))

    assert [(await ada.get(f"/poll/1/{name}")).status for name in FILES] == [200] * len(FILES)
    assert [(await ada.get(f"/poll/2/{name}")).status for name in FILES] == [403] * len(FILES)
    page = parse(await (await ada.get("/admin/polls/1")).text())
    assert "/poll/1/results.xlsx" in links(find(page, "details", class_="download")[0]).values()
