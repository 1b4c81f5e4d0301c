"""What PostgreSQL tells of changes, whoever makes them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import psycopg2
import pytest

from polls.config.settings import Postgres
from polls.domain.ballot import Ballot
from polls.domain.events import CacheInvalidated, ClockSync, Event, ListenerLost, PollChanged
from polls.storage import listener as storage
from polls.storage.ballots import Recorder
from polls.storage.listener import listen
from polls.storage.postgres.connect import Connection
from polls.storage.postgres.pool import Database
from tests.conftest import Ask

CUT_OFF = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE pid <> pg_backend_pid() AND (query = 'LISTEN polls' OR query LIKE 'SELECT clock_timestamp(), %')
"""


class Listener:
    """Collects the news in the background."""

    def __init__(self, engine: Database) -> None:
        self.news: list[Event] = []
        self.task = asyncio.create_task(self._listen(engine))

    async def _listen(self, engine: Database) -> None:
        async with aclosing(listen(engine)) as news:
            async for piece in news:
                self.news.append(piece)

    async def until(self, told: Callable[[list[Event]], object]) -> None:
        async with asyncio.timeout(10):
            while not told(self.news):
                await asyncio.sleep(0.01)

    async def listen(self) -> list[Event]:
        """What is told of a change just made, but the time."""
        await asyncio.sleep(0.2)
        news, self.news = self.news, []
        return [piece for piece in news if not isinstance(piece, ClockSync)]


@pytest.fixture
async def listener(postgres: Postgres, database: Connection) -> AsyncIterator[Listener]:  # noqa: ARG001 - emptied before
    listener = Listener(Database(postgres))
    await listener.until(lambda news: CacheInvalidated() in news)
    listener.news.clear()
    yield listener
    listener.task.cancel()
    await asyncio.wait([listener.task])


@pytest.fixture
async def recorder(postgres: Postgres) -> AsyncIterator[Recorder]:
    recorder = Recorder(Database(postgres))
    yield recorder
    recorder.close()


def execute(database: Connection, statement: str) -> None:
    with database.cursor() as cursor:
        cursor.execute(statement)


async def test_a_batch_of_ballots_is_told_once_for_each_poll_with_its_counts(
    listener: Listener, recorder: Recorder, ask: Ask
) -> None:
    tea, coffee = ask("Tea?", "Yes", "No"), ask("Coffee?", "Yes")
    await listener.listen()

    await recorder.record(
        [Ballot(1, b"ann", (1,)), Ballot(1, b"bob", (2,)), Ballot(1, b"cid", (2,)), Ballot(2, b"ann", (3,))], 5
    )

    told = await listener.listen()
    assert sorted(told, key=lambda notification: notification.question_id) == [  # type: ignore[union-attr]
        PollChanged(1, tea.revision + 1, tea.edition, 3, {1: 1, 2: 2}),
        PollChanged(2, coffee.revision + 1, coffee.edition, 1, {3: 1}),
    ]


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE question SET question_text = 'Coffee?'",
        "UPDATE question SET closes_at = now()",
        "UPDATE question SET pub_date = now() + interval '1 day'",
        "UPDATE choice SET choice_text = 'Certainly' WHERE id = 1",
        "INSERT INTO choice (question_id, choice_text) VALUES (1, 'Perhaps')",
        "DELETE FROM choice WHERE id = 1",
    ],
)
async def test_an_edit_by_hand_is_told_and_has_to_be_read(
    listener: Listener, ask: Ask, database: Connection, edit: str
) -> None:
    poll = ask("Tea?", "Yes", "No", votes=(2, 1))
    await listener.listen()

    execute(database, edit)

    assert await listener.listen() == [PollChanged(1, poll.revision + 1, poll.edition + 1)]


async def test_counts_that_are_corrected_by_hand_are_told(listener: Listener, ask: Ask, database: Connection) -> None:
    poll = ask("Tea?", "Yes", "No", votes=(2, 1))
    await listener.listen()

    execute(database, "UPDATE choice SET votes = 5 WHERE id = 1")
    execute(database, "UPDATE question SET ballots = 6")

    assert await listener.listen() == [
        PollChanged(1, poll.revision + 1, poll.edition, 3, {1: 5, 2: 1}),
        PollChanged(1, poll.revision + 2, poll.edition, 6, {1: 5, 2: 1}),
    ]


async def test_a_deleted_poll_is_told_to_be_gone(listener: Listener, ask: Ask, database: Connection) -> None:
    ask("Tea?", "Yes", "No")
    await listener.listen()

    execute(database, "DELETE FROM question")

    assert await listener.listen() == [PollChanged(1)]


async def test_a_new_poll_is_told(listener: Listener, ask: Ask) -> None:
    ask("Tea?")

    assert PollChanged(1, 0, 0) in await listener.listen()


async def test_what_is_rolled_back_is_not_told(listener: Listener, ask: Ask, database: Connection) -> None:
    ask("Tea?", "Yes")
    await listener.listen()

    execute(database, "BEGIN; UPDATE question SET question_text = 'Coffee?'; ROLLBACK")

    assert await listener.listen() == []


@pytest.mark.parametrize("statement", ["TRUNCATE question CASCADE", "TRUNCATE choice"])
async def test_when_a_table_is_emptied_anything_may_have_changed(
    listener: Listener, ask: Ask, database: Connection, statement: str
) -> None:
    ask("Tea?", "Yes")
    await listener.listen()

    execute(database, statement)

    assert set(await listener.listen()) == {CacheInvalidated()}


@pytest.mark.parametrize(
    "payload", ["", "nonsense", "[]", "1", "null", "[1]", '{"poll": "x"}', '{"poll": 1, "votes": 3}', "{" * 5000]
)
async def test_what_is_not_understood_may_mean_anything(
    listener: Listener, database: Connection, payload: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with database.cursor() as cursor:
        cursor.execute("SELECT pg_notify('polls', %s)", (payload,))

    assert await listener.listen() == [CacheInvalidated()]
    assert not listener.task.done()


async def test_a_poll_with_as_many_choices_as_there_may_be_is_told_with_its_counts(
    listener: Listener, recorder: Recorder, ask: Ask
) -> None:
    poll = ask("Tea?", *map(str, range(100)), votes=(10**5, *[0] * 99))
    await listener.listen()

    await recorder.record([Ballot(1, b"ann", (7,))], 5)

    (notification,) = await listener.listen()
    assert isinstance(notification, PollChanged)
    assert notification.votes == {choice.id: choice.votes + (choice.id == 7) for choice in poll.choices}


async def test_counts_that_are_too_long_for_a_notice_have_to_be_read(
    listener: Listener, recorder: Recorder, ask: Ask, database: Connection
) -> None:
    """There may be polls that had more choices before there was a limit."""
    ask("Tea?", "Yes")
    execute(
        database,
        """
        ALTER TABLE choice DISABLE TRIGGER choice_edited;
        INSERT INTO choice (question_id, choice_text) SELECT 1, 'No' FROM generate_series(1, 1000);
        ALTER TABLE choice ENABLE TRIGGER choice_edited;
        """,
    )
    await listener.listen()

    outcomes = await recorder.record([Ballot(1, b"ann", (1,))], 5)

    (notification,) = await listener.listen()
    assert isinstance(notification, PollChanged)
    assert (notification.revision, notification.votes) == (outcomes[0], None)


async def test_a_poll_has_at_most_a_hundred_choices(ask: Ask, database: Connection) -> None:
    ask("Tea?", *map(str, range(100)))
    ask("Coffee?", "Yes")

    for one_more in (
        "INSERT INTO choice (question_id, choice_text) VALUES (1, 'No')",
        "UPDATE choice SET question_id = 1 WHERE question_id = 2",
    ):
        with pytest.raises(psycopg2.errors.CheckViolation, match="at most 100 choices"):
            execute(database, one_more)
    execute(database, "UPDATE choice SET choice_text = 'No!' WHERE question_id = 1")


async def test_the_time_is_told_before_anything_else_and_then_again(postgres: Postgres) -> None:
    listener = Listener(Database(postgres))

    await listener.until(lambda news: sum(isinstance(piece, ClockSync) for piece in news) == 2)

    assert isinstance(listener.news[0], ClockSync)
    assert abs(listener.news[0].now - datetime.now(UTC)) < timedelta(seconds=5)
    listener.task.cancel()
    await asyncio.wait([listener.task])


async def test_a_connection_that_is_cut_is_replaced_and_what_was_missed_is_said(
    listener: Listener, ask: Ask, database: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "polls")
    for _ in range(2):
        listener.news.clear()
        execute(database, CUT_OFF)
        await listener.until(lambda news: CacheInvalidated() in news)
        told = await listener.listen()
        assert (told[0], told[-1]) == (ListenerLost(), CacheInvalidated())

    poll = ask("Tea?", "Yes")

    assert PollChanged(1, poll.revision, poll.edition) in await listener.listen()
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "the database's notices are not heard, so pages are read from it each time",
        "the database's notices are heard again",
    ] * 2


async def test_a_server_that_says_nothing_any_more_is_noticed(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind a network that was cut: no end of the connection ever comes."""
    monkeypatch.setattr(storage, "_HEARTBEAT", "SELECT pg_sleep(60)")

    await listener.until(lambda news: ListenerLost() in news)


async def test_nothing_is_left_of_a_listener_that_is_cancelled(listener: Listener, database: Connection) -> None:
    listener.task.cancel()
    await asyncio.wait([listener.task])

    def left() -> int:
        with database.cursor() as cursor:
            cursor.execute(CUT_OFF.replace("pg_terminate_backend(pid)", "count(*)"))
            return int((cursor.fetchone() or (0,))[0])

    async with asyncio.timeout(5):
        while left():
            await asyncio.sleep(0.02)


async def test_a_notice_that_comes_with_the_heartbeat_is_not_lost(
    listener: Listener, database: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event loop was busy when both became due."""
    monkeypatch.setattr(storage, "HEARTBEAT", 0.1)
    await listener.until(lambda news: sum(isinstance(piece, ClockSync) for piece in news) > 3)
    told = 0

    for number in range(12):
        await listener.listen()
        await asyncio.sleep(0.001 * number)
        with database.cursor() as cursor:
            cursor.execute("SELECT pg_notify('polls', %s), pg_sleep(0.15)", (f'{{"poll": {number + 1}}}',))
        told += len(await listener.listen())

    assert told == 12


async def test_other_tables_in_the_place_of_ours_may_hold_anything(
    listener: Listener, ask: Ask, database: Connection
) -> None:
    """A dump was restored: it drops and makes tables, and copies rows before there are triggers."""
    ask("Tea?", "Yes")
    await listener.listen()

    execute(
        database,
        """
        BEGIN;
        CREATE TABLE copied (LIKE choice INCLUDING ALL);
        ALTER TABLE choice RENAME TO original;
        ALTER TABLE copied RENAME TO choice;
        COMMIT;
        """,
    )
    try:
        await listener.until(lambda news: CacheInvalidated() in news)
    finally:
        execute(database, "DROP TABLE choice; ALTER TABLE original RENAME TO choice")


async def test_changes_are_told_whatever_the_search_path_is(listener: Listener, ask: Ask, database: Connection) -> None:
    poll = ask("Tea?", "Yes")
    await listener.listen()

    execute(
        database,
        """
        BEGIN;
        SET LOCAL search_path = '';
        INSERT INTO public.choice (question_id, choice_text) VALUES (1, 'No');
        UPDATE public.choice SET votes = 1 WHERE id = 1;
        COMMIT;
        """,
    )

    assert [notification.revision for notification in await listener.listen()] == [poll.revision + 1, poll.revision + 2]  # type: ignore[union-attr]


async def test_a_listener_ends_whenever_it_is_cancelled(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """asyncio.wait_for swallows a cancellation that comes together with an answer."""
    monkeypatch.setattr(storage, "HEARTBEAT", 0)

    engine = Database(postgres)
    await engine.connect_to_primary()
    for number in range(100):
        listener = Listener(engine)
        await asyncio.sleep(0.02 + 0.0001 * number)
        listener.task.cancel()
        await asyncio.wait([listener.task], timeout=5)
        assert listener.task.done()
