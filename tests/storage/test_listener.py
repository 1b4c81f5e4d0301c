"""Events of committed changes, by whatever program, and of the connection that listens for them."""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import psycopg2
import pytest

from polls.config.settings import Postgres
from polls.domain.ballot import Ballot, Counted
from polls.domain.events import CacheInvalidated, ClockSync, Event, ListenerLost, PollChanged
from polls.domain.settings import PollSettings
from polls.storage.ballots import Recorder
from polls.storage.listener import HEARTBEAT, listen
from polls.storage.postgres.connect import Connection
from polls.storage.postgres.pool import Database
from tests.conftest import CreatePoll

CUT_OFF = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE pid <> pg_backend_pid() AND (query = 'LISTEN polls' OR query LIKE 'SELECT clock_timestamp(), %')
"""


class Listener:
    """Collects the events of `listen` in a task."""

    def __init__(self, pool: Database, heartbeat: float = HEARTBEAT) -> None:
        self.events: list[Event] = []
        self.task = asyncio.create_task(self._listen(pool, heartbeat))

    async def _listen(self, pool: Database, heartbeat: float) -> None:
        async with aclosing(listen(pool, heartbeat=heartbeat)) as events:
            async for event in events:
                self.events.append(event)

    async def until(self, condition: Callable[[list[Event]], object]) -> None:
        async with asyncio.timeout(10):
            while not condition(self.events):
                await asyncio.sleep(0.01)

    async def take(self) -> list[Event]:
        """Return and remove the events of a change just made, without ClockSync."""
        await asyncio.sleep(0.2)
        events, self.events = self.events, []
        return [event for event in events if not isinstance(event, ClockSync)]

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


@pytest.fixture
async def listener(postgres: Postgres, database: Connection) -> AsyncIterator[Listener]:  # noqa: ARG001 - emptied before
    listener = Listener(Database(postgres))
    await listener.until(lambda events: CacheInvalidated() in events)
    listener.events.clear()
    yield listener
    await listener.stop()


@pytest.fixture
async def recorder(postgres: Postgres) -> AsyncIterator[Recorder]:
    recorder = Recorder(Database(postgres))
    yield recorder
    recorder.close()


def execute(database: Connection, statement: str) -> None:
    with database.cursor() as cursor:
        cursor.execute(statement)


async def test_a_batch_of_ballots_is_one_event_for_each_poll_with_its_counts(
    listener: Listener, recorder: Recorder, create_poll: CreatePoll
) -> None:
    tea, coffee = create_poll("Tea?", "Yes", "No"), create_poll("Coffee?", "Yes")
    await listener.take()

    await recorder.record(
        [Ballot(1, b"ann", (1,)), Ballot(1, b"bob", (2,)), Ballot(1, b"cid", (2,)), Ballot(2, b"ann", (3,))], 5
    )

    events = await listener.take()
    assert sorted(events, key=lambda event: event.question_id) == [  # type: ignore[union-attr]
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
async def test_an_edit_with_psql_is_an_event_without_counts(
    listener: Listener, create_poll: CreatePoll, database: Connection, edit: str
) -> None:
    poll = create_poll("Tea?", "Yes", "No", votes=(2, 1))
    await listener.take()

    execute(database, edit)

    assert await listener.take() == [PollChanged(1, poll.revision + 1, poll.edition + 1)]


async def test_counts_corrected_with_psql_are_an_event_each(
    listener: Listener, create_poll: CreatePoll, database: Connection
) -> None:
    poll = create_poll("Tea?", "Yes", "No", votes=(2, 1))
    await listener.take()

    execute(database, "UPDATE choice SET votes = 5 WHERE id = 1")
    execute(database, "UPDATE question SET ballots = 6")

    assert await listener.take() == [
        PollChanged(1, poll.revision + 1, poll.edition, 3, {1: 5, 2: 1}),
        PollChanged(1, poll.revision + 2, poll.edition, 6, {1: 5, 2: 1}),
    ]


@pytest.mark.parametrize(
    "statements",
    [
        # As the admin removes a choice with its ballots.
        "UPDATE question SET ballots = 1; UPDATE choice SET votes = 0 WHERE id = 1; DELETE FROM choice WHERE id = 1",
        "UPDATE question SET question_text = 'Coffee?'; DELETE FROM ballot; UPDATE question SET ballots = 0",
    ],
)
async def test_watchers_are_told_no_counts_from_the_middle_of_a_transaction(
    listener: Listener, create_poll: CreatePoll, database: Connection, statements: str
) -> None:
    create_poll("Tea?", "Yes", "No", votes=(2, 1))
    await listener.take()

    execute(database, f"BEGIN; {statements}; COMMIT")

    with database.cursor() as cursor:
        cursor.execute("SELECT revision, edition, ballots FROM question")
        revision, edition, ballots = cursor.fetchone() or ()
        cursor.execute("SELECT id, votes FROM choice")
        votes = dict(cursor.fetchall())
    committed = [PollChanged(1, revision, edition), PollChanged(1, revision, edition, ballots, votes)]
    events = await listener.take()
    assert committed[0] in events
    assert all(event in committed for event in events)


async def test_counts_corrected_in_one_transaction_are_one_event(
    listener: Listener, create_poll: CreatePoll, database: Connection
) -> None:
    poll = create_poll("Tea?", "Yes", "No", votes=(2, 1))
    await listener.take()

    execute(database, "BEGIN; UPDATE choice SET votes = 3 WHERE id = 1; UPDATE question SET ballots = 4; COMMIT")

    assert await listener.take() == [PollChanged(1, poll.revision + 2, poll.edition, 4, {1: 3, 2: 1})]


async def test_a_deleted_poll_is_an_event_without_a_revision(
    listener: Listener, create_poll: CreatePoll, database: Connection
) -> None:
    create_poll("Tea?", "Yes", "No")
    await listener.take()

    execute(database, "DELETE FROM question")

    assert await listener.take() == [PollChanged(1)]


async def test_a_new_poll_is_an_event(listener: Listener, create_poll: CreatePoll) -> None:
    create_poll("Tea?")

    assert PollChanged(1, 0, 0) in await listener.take()


async def test_a_transaction_that_is_rolled_back_is_no_event(
    listener: Listener, create_poll: CreatePoll, database: Connection
) -> None:
    create_poll("Tea?", "Yes")
    await listener.take()

    execute(database, "BEGIN; UPDATE question SET question_text = 'Coffee?'; ROLLBACK")

    assert await listener.take() == []


@pytest.mark.parametrize("statement", ["TRUNCATE question CASCADE", "TRUNCATE choice"])
async def test_truncating_a_table_invalidates_the_cache(
    listener: Listener, create_poll: CreatePoll, database: Connection, statement: str
) -> None:
    create_poll("Tea?", "Yes")
    await listener.take()

    execute(database, statement)

    assert set(await listener.take()) == {CacheInvalidated()}


@pytest.mark.parametrize(
    "payload", ["", "nonsense", "[]", "1", "null", "[1]", '{"poll": "x"}', '{"poll": 1, "votes": 3}', "{" * 5000]
)
async def test_an_invalid_notification_invalidates_the_cache(
    listener: Listener, database: Connection, payload: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with database.cursor() as cursor:
        cursor.execute("SELECT pg_notify('polls', %s)", (payload,))

    assert await listener.take() == [CacheInvalidated()]
    assert not listener.task.done()


async def test_an_object_of_a_later_version_is_ignored(listener: Listener, database: Connection) -> None:
    with database.cursor() as cursor:
        cursor.execute("""SELECT pg_notify('polls', '{"audit": 1}')""")
        cursor.execute("""SELECT pg_notify('polls', '{"poll": 1, "later": []}')""")

    assert await listener.take() == [PollChanged(1)]


async def test_the_event_of_counts_has_points(listener: Listener, recorder: Recorder, create_poll: CreatePoll) -> None:
    scores = PollSettings(method="score", most_marks=None, most_points=10)
    create_poll("Tea?", *map(str, range(100)), settings=scores)
    await listener.take()

    await recorder.record([Ballot(1, b"ann", tuple(range(1, 101)), (0, *[10] * 99))], 5)

    (event,) = await listener.take()
    assert isinstance(event, PollChanged)
    assert event.votes == dict.fromkeys(range(1, 101), 1)
    assert event.points == dict.fromkeys(range(2, 101), 10)


async def test_the_event_of_a_poll_with_the_most_choices_has_its_counts(
    listener: Listener, recorder: Recorder, create_poll: CreatePoll
) -> None:
    poll = create_poll("Tea?", *map(str, range(100)), votes=(10**5, *[0] * 99))
    await listener.take()

    await recorder.record([Ballot(1, b"ann", (7,))], 5)

    (event,) = await listener.take()
    assert isinstance(event, PollChanged)
    assert event.votes == {choice.id: choice.votes + (choice.id == 7) for choice in poll.choices}


async def test_the_event_of_a_poll_with_too_many_choices_has_no_counts(
    listener: Listener, recorder: Recorder, create_poll: CreatePoll, database: Connection
) -> None:
    """Polls may have had more than 100 choices before there was a limit."""
    create_poll("Tea?", "Yes")
    execute(
        database,
        """
        ALTER TABLE choice DISABLE TRIGGER choice_edited;
        INSERT INTO choice (question_id, choice_text) SELECT 1, 'No' FROM generate_series(1, 1000);
        ALTER TABLE choice ENABLE TRIGGER choice_edited;
        """,
    )
    await listener.take()

    outcomes = await recorder.record([Ballot(1, b"ann", (1,))], 5)

    (event,) = await listener.take()
    assert isinstance(event, PollChanged)
    assert (Counted(event.revision), event.votes) == (outcomes[0], None)


async def test_a_poll_has_at_most_a_hundred_choices(create_poll: CreatePoll, database: Connection) -> None:
    create_poll("Tea?", *map(str, range(100)))
    create_poll("Coffee?", "Yes")

    for statement in (
        "INSERT INTO choice (question_id, choice_text) VALUES (1, 'No')",
        "UPDATE choice SET question_id = 1 WHERE question_id = 2",
    ):
        with pytest.raises(psycopg2.errors.CheckViolation, match="at most 100 choices"):
            execute(database, statement)
    execute(database, "UPDATE choice SET choice_text = 'No!' WHERE question_id = 1")


async def test_the_clock_is_the_first_event_and_is_repeated(postgres: Postgres) -> None:
    listener = Listener(Database(postgres))

    await listener.until(lambda events: sum(isinstance(event, ClockSync) for event in events) == 2)

    assert isinstance(listener.events[0], ClockSync)
    assert abs(listener.events[0].now - datetime.now(UTC)) < timedelta(seconds=5)
    await listener.stop()


async def test_a_connection_that_is_cut_is_replaced_and_the_cache_invalidated(
    listener: Listener, create_poll: CreatePoll, database: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "polls")
    for _ in range(2):
        listener.events.clear()
        execute(database, CUT_OFF)
        await listener.until(lambda events: CacheInvalidated() in events)
        events = await listener.take()
        assert (events[0], events[-1]) == (ListenerLost(), CacheInvalidated())

    poll = create_poll("Tea?", "Yes")

    assert PollChanged(1, poll.revision, poll.edition) in await listener.take()
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "can't listen for changes in the database; each page is read from it",
        "listening for changes in the database again; pages are served from the cache",
    ] * 2


async def test_a_server_that_stops_answering_is_noticed(listener: Listener, database: Connection) -> None:
    """As behind a network that was cut: the connection is never closed."""
    with database.cursor() as cursor:
        while True:
            cursor.execute(CUT_OFF.replace("pg_terminate_backend(pid)", "pid"))
            if len(pids := cursor.fetchall()) == 1:  # the connection of the previous test may still be closing
                break
            await asyncio.sleep(0.02)
    ((pid,),) = pids

    os.kill(pid, signal.SIGSTOP)
    try:
        await listener.until(lambda events: ListenerLost() in events)
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_cancelling_a_listener_closes_its_connection(listener: Listener, database: Connection) -> None:
    await listener.stop()

    def connections() -> int:
        with database.cursor() as cursor:
            cursor.execute(CUT_OFF.replace("pg_terminate_backend(pid)", "count(*)"))
            return int((cursor.fetchone() or (0,))[0])

    async with asyncio.timeout(5):
        while connections():
            await asyncio.sleep(0.02)


async def test_a_notification_that_comes_with_the_heartbeat_is_not_lost(
    postgres: Postgres, database: Connection
) -> None:
    """Both arrive while the event loop is busy."""
    listener = Listener(Database(postgres), heartbeat=0.1)
    await listener.until(lambda events: sum(isinstance(event, ClockSync) for event in events) > 3)
    count = 0

    for number in range(12):
        await listener.take()
        await asyncio.sleep(0.001 * number)
        with database.cursor() as cursor:
            cursor.execute("SELECT pg_notify('polls', %s), pg_sleep(0.15)", (f'{{"poll": {number + 1}}}',))
        count += len(await listener.take())

    assert count == 12
    await listener.stop()


async def test_replacing_a_table_invalidates_the_cache(
    listener: Listener, create_poll: CreatePoll, database: Connection
) -> None:
    """pg_restore drops and creates tables, and copies rows before it creates triggers."""
    create_poll("Tea?", "Yes")
    await listener.take()

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
        await listener.until(lambda events: CacheInvalidated() in events)
    finally:
        execute(database, "DROP TABLE choice; ALTER TABLE original RENAME TO choice")


async def test_changes_are_events_whatever_the_search_path_is(
    listener: Listener, create_poll: CreatePoll, database: Connection
) -> None:
    poll = create_poll("Tea?", "Yes")
    await listener.take()

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

    assert {event.revision for event in await listener.take()} == {poll.revision + 2}  # type: ignore[union-attr]


async def test_a_listener_can_be_cancelled_at_any_time(postgres: Postgres) -> None:
    """asyncio.wait_for swallows a cancellation that comes together with a result."""
    pool = Database(postgres)
    await pool.connect_to_primary()
    for number in range(100):
        listener = Listener(pool, heartbeat=0)
        await asyncio.sleep(0.02 + 0.0001 * number)
        listener.task.cancel()
        await asyncio.wait([listener.task], timeout=5)
        assert listener.task.done()
