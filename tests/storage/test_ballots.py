"""Recording batches of ballots while polls are edited, locked or damaged, and recounting them."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg2
import pytest

from polls.config.settings import Postgres
from polls.domain.ballot import Ballot, Counted
from polls.domain.errors import InvalidBallot, PollClosed, PollNotFound, VoteNotStored, VotingBroken
from polls.storage.ballot_connection import BallotConnection
from polls.storage.ballots import Recorder
from polls.storage.postgres.connect import Connection, connect
from polls.storage.postgres.pool import Database
from polls.storage.recount import recount
from polls.storage.repair import repair
from tests.conftest import CreatePoll

Votes = Callable[[], list[int]]

TIMEOUT = 5  # seconds


class AnyRevision:
    """Equals every outcome of a stored ballot: the revision that counts it, whichever that is."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, outcome: object) -> bool:
        return isinstance(outcome, Counted)


COUNTED = AnyRevision()


@pytest.fixture
async def recorder(postgres: Postgres) -> AsyncIterator[Recorder]:
    recorder = Recorder(Database(postgres))
    yield recorder
    recorder.close()


def ballot(voter: str, *marks: int, poll: int = 1) -> Ballot:
    return Ballot(poll, voter.encode(), marks)


def is_exact(database: Connection) -> bool:
    with connect_again(database) as connection:
        return all(poll.is_exact for poll in recount(connection))


@contextmanager
def connect_again(database: Connection) -> Iterator[Connection]:
    connection = psycopg2.connect(database.dsn)
    yield connection
    connection.close()


@contextmanager
def locked(database: Connection, statement: str) -> Iterator[Connection]:
    """Another connection in the middle of a transaction that has executed `statement`."""
    with connect_again(database) as other, other.cursor() as cursor:
        cursor.execute(statement)
        yield other
        other.commit()


def execute(database: Connection, statement: str) -> list[tuple[object, ...]]:
    with database.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


async def test_each_ballot_is_a_row_and_is_counted(
    recorder: Recorder, create_poll: CreatePoll, votes: Votes, database: Connection
) -> None:
    create_poll("Tea?", "Yes", "No")

    assert await recorder.record([ballot("ann", 1), ballot("bob", 2), ballot("cid", 1)], TIMEOUT) == [
        COUNTED,
        COUNTED,
        COUNTED,
    ]

    assert votes() == [2, 1]
    assert execute(database, "SELECT ballots FROM question") == [(3,)]
    assert execute(database, "SELECT question_id, marks FROM ballot ORDER BY marks") == [(1, [1]), (1, [1]), (1, [2])]


async def test_a_second_ballot_from_the_same_voter_replaces_the_first(
    recorder: Recorder, create_poll: CreatePoll, votes: Votes, database: Connection
) -> None:
    create_poll("Tea?", "Yes", "No")
    await recorder.record([ballot("ann", 1)], TIMEOUT)
    await recorder.record([ballot("ann", 2)], TIMEOUT)

    assert votes() == [0, 1]
    assert execute(database, "SELECT ballots FROM question") == [(1,)]
    assert execute(database, "SELECT marks, cast_at < changed_at FROM ballot") == [([2], True)]


async def test_a_repeated_ballot_is_written_again(
    recorder: Recorder, create_poll: CreatePoll, votes: Votes, database: Connection
) -> None:
    """It is acknowledged because of its own commit: it isn't known whether the first one reached the standby."""
    create_poll("Tea?", "Yes", "No")
    await recorder.record([ballot("ann", 1)], TIMEOUT)
    before = execute(database, "SELECT xmin::text FROM ballot")

    assert await recorder.record([ballot("ann", 1)], TIMEOUT) == [COUNTED]

    assert execute(database, "SELECT xmin::text FROM ballot") != before
    assert votes() == [1, 0]


async def test_of_two_ballots_by_one_voter_in_a_batch_the_last_is_stored(
    recorder: Recorder, create_poll: CreatePoll, votes: Votes, database: Connection
) -> None:
    create_poll("Tea?", "Yes", "No")

    outcomes = await recorder.record([ballot("ann", 1), ballot("bob", 1), ballot("ann", 2)], TIMEOUT)

    assert outcomes == [COUNTED, COUNTED, COUNTED]
    assert votes() == [1, 1]
    assert is_exact(database)


async def test_voters_are_stored_as_hashes_that_differ_from_poll_to_poll(
    recorder: Recorder, create_poll: CreatePoll, database: Connection
) -> None:
    create_poll("Tea?", "Yes")
    create_poll("Coffee?", "Yes")
    await recorder.record([ballot("ann", 1), ballot("ann", 2, poll=2)], TIMEOUT)

    ((one,), (other,)) = execute(database, "SELECT voter FROM ballot ORDER BY question_id")

    assert len(bytes(one)) == len(bytes(other)) == 16  # type: ignore[arg-type]
    assert b"ann" not in bytes(one) + bytes(other)  # type: ignore[arg-type]
    assert bytes(one) != bytes(other)  # type: ignore[arg-type]


async def test_after_a_new_salt_a_voter_counts_as_a_new_one(
    recorder: Recorder, create_poll: CreatePoll, votes: Votes, database: Connection
) -> None:
    create_poll("Tea?", "Yes", "No")
    await recorder.record([ballot("ann", 1)], TIMEOUT)
    execute(database, "UPDATE question SET voter_salt = uuid_send(gen_random_uuid())")

    await recorder.record([ballot("ann", 2)], TIMEOUT)

    assert votes() == [1, 1]  # the hash of the same voter is another one now
    assert is_exact(database)


async def test_a_refused_ballot_does_not_fail_others_in_its_batch(
    recorder: Recorder, create_poll: CreatePoll, votes: Votes, database: Connection
) -> None:
    create_poll("Tea?", "Yes", "No")
    create_poll("Closed?", "Yes", closed=timedelta(seconds=1))
    create_poll("Of the future?", "Yes", ago=timedelta(days=-1))
    create_poll("Without choices?")
    bad = [
        ballot("ann", 9),  # no poll's choice
        ballot("ann", 3),  # another poll's choice
        ballot("ann", 1, 2),
        ballot("ann"),
        ballot("ann", 3, poll=2),
        ballot("ann", 4, poll=3),
        ballot("ann", 4, poll=4),
        ballot("ann", 1, poll=999),
    ]

    outcomes = await recorder.record([ballot("bob", 1), *bad, ballot("cid", 2)], TIMEOUT)

    assert [type(outcome) for outcome in outcomes] == [
        *(Counted, InvalidBallot, InvalidBallot, InvalidBallot, InvalidBallot),
        *(PollClosed, PollNotFound, PollNotFound, PollNotFound, Counted),
    ]
    assert votes() == [1, 1, 0, 0]
    assert is_exact(database)


EDITS = {
    "closed": ("UPDATE question SET closes_at = clock_timestamp() WHERE id = 1", PollClosed),
    "deleted": ("DELETE FROM question WHERE id = 1", PollNotFound),
    "put off": ("UPDATE question SET pub_date = now() + interval '1 day' WHERE id = 1", PollNotFound),
    "left without the choice": ("DELETE FROM choice WHERE id = 1", InvalidBallot),
    "reworded": ("UPDATE choice SET choice_text = 'Yes!' WHERE id = 1", Counted),
}


@pytest.mark.parametrize(("edit", "outcome"), EDITS.values(), ids=EDITS.keys())
@pytest.mark.parametrize("meanwhile", [False, True], ids=["before", "while the ballot waits for the lock"])
async def test_a_ballot_is_decided_by_the_poll_as_it_is_after_an_edit(
    recorder: Recorder,
    create_poll: CreatePoll,
    database: Connection,
    edit: str,
    outcome: type[Exception] | type[Counted],
    meanwhile: bool,
) -> None:
    create_poll("Tea?", "Yes", "No")
    create_poll("Coffee?", "Yes")
    await recorder.record([ballot("ann", 1), ballot("ann", 3, poll=2)], TIMEOUT)  # from here on both polls are cached

    with locked(database, f"SELECT FROM question WHERE id = 1 FOR NO KEY UPDATE; {edit}") as other:
        if not meanwhile:
            other.commit()
        recording = asyncio.create_task(recorder.record([ballot("bob", 1), ballot("bob", 3, poll=2)], TIMEOUT))
        if meanwhile:
            await asyncio.sleep(0.2)
            assert not recording.done()

    assert [type(each) for each in await recording] == [outcome, Counted]
    assert is_exact(database)


async def test_a_new_poll_with_the_id_of_a_deleted_one_is_another_poll(
    recorder: Recorder, create_poll: CreatePoll, votes: Votes, database: Connection
) -> None:
    create_poll("Tea?", "Yes", "No")
    await recorder.record([ballot("ann", 1)], TIMEOUT)
    execute(
        database,
        """
        DELETE FROM question;
        INSERT INTO question (id, question_text, pub_date) VALUES (1, 'Coffee?', now());
        INSERT INTO choice (question_id, choice_text) VALUES (1, 'Yes'), (1, 'No');
        UPDATE question SET edition = 3;
        """,
    )

    outcomes = await recorder.record([ballot("ann", 1), ballot("bob", 3)], TIMEOUT)

    assert [type(outcome) for outcome in outcomes] == [InvalidBallot, Counted]
    assert votes() == [1, 0]
    assert is_exact(database)


async def test_a_choice_that_is_added_can_be_chosen_at_once(
    recorder: Recorder, create_poll: CreatePoll, votes: Votes, database: Connection
) -> None:
    create_poll("Tea?", "Yes", "No")
    await recorder.record([ballot("ann", 1)], TIMEOUT)
    execute(database, "INSERT INTO choice (question_id, choice_text) VALUES (1, 'Perhaps')")

    assert await recorder.record([ballot("bob", 3)], TIMEOUT) == [COUNTED]
    assert votes() == [1, 0, 1]


async def test_a_voter_whose_choice_was_removed_may_vote_again(
    recorder: Recorder, create_poll: CreatePoll, database: Connection
) -> None:
    create_poll("Tea?", "Yes", "No")
    await recorder.record([ballot("ann", 1)], TIMEOUT)
    execute(database, "DELETE FROM choice WHERE id = 1")

    assert await recorder.record([ballot("ann", 2)], TIMEOUT) == [COUNTED]
    assert execute(database, "SELECT votes FROM choice") == [(1,)]
    assert is_exact(database)


async def test_ballots_for_more_polls_than_the_cache_holds_are_recorded(
    postgres: Postgres, create_poll: CreatePoll, votes: Votes
) -> None:
    recorder = Recorder(Database(postgres), max_cached_polls=3)
    for number in range(1, 11):
        create_poll(f"{number}?", "Yes")

    for voter in ("ann", "bob"):
        ballots = [ballot(voter, number, poll=number) for number in range(1, 11)]
        assert await recorder.record(ballots, TIMEOUT) == [COUNTED] * 10

    assert votes() == [2] * 10
    recorder.close()


@pytest.mark.parametrize("error", [psycopg2.errors.DeadlockDetected, psycopg2.errors.SerializationFailure])
async def test_a_batch_is_retried_after_a_deadlock(
    recorder: Recorder, create_poll: CreatePoll, votes: Votes, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    create_poll("Tea?", "Yes")
    record = BallotConnection.record
    faults = [error(), error()]

    async def faulty(self: BallotConnection, *arguments: Any) -> object:
        if faults:
            raise faults.pop()
        return await record(self, *arguments)

    monkeypatch.setattr(BallotConnection, "record", faulty)

    assert await recorder.record([ballot("ann", 1)], TIMEOUT) == [COUNTED]
    assert votes() == [1]


async def test_a_deadlock_with_a_transaction_that_locks_in_another_order_is_retried(
    recorder: Recorder, create_poll: CreatePoll, votes: Votes, database: Connection
) -> None:
    """Another transaction locks a choice, then the question, which the recorder has locked while it waits."""
    create_poll("Tea?", "Yes", "No")
    with locked(database, "SELECT FROM choice WHERE id = 1 FOR UPDATE") as other:
        recording = asyncio.create_task(recorder.record([ballot("ann", 1)], TIMEOUT))
        await asyncio.sleep(0.3)
        with other.cursor() as cursor:
            cursor.execute("SET deadlock_timeout = '10s'")  # so that PostgreSQL aborts the recorder's
            waiting = threading.Thread(
                target=cursor.execute, args=["SELECT FROM question WHERE id = 1 FOR UPDATE"], daemon=True
            )
            waiting.start()
            while waiting.is_alive():
                await asyncio.sleep(0.05)

    assert await recording == [COUNTED]
    assert votes() == [1, 0]


async def test_a_ballot_comes_back_with_the_revision_that_counts_it(
    recorder: Recorder, create_poll: CreatePoll, database: Connection
) -> None:
    create_poll("Tea?", "Yes", "No")
    create_poll("Coffee?", "Yes")

    outcomes = await recorder.record([ballot("ann", 1), ballot("ann", 3, poll=2), ballot("bob", 2)], TIMEOUT)

    (tea, coffee) = execute(database, "SELECT revision FROM question ORDER BY id")
    assert outcomes == [Counted(tea[0]), Counted(coffee[0]), Counted(tea[0])]


async def test_counting_raises_the_revision_and_editing_the_edition_too(
    recorder: Recorder, create_poll: CreatePoll, database: Connection
) -> None:
    def versions() -> tuple[int, int]:
        ((revision, edition),) = execute(database, "SELECT revision, edition FROM question")
        return revision, edition  # type: ignore[return-value]

    create_poll("Tea?", "Yes", "No")
    revision, edition = versions()

    await recorder.record([ballot("ann", 1)], TIMEOUT)
    assert versions() == (revision + 1, edition)
    for edit in (
        "UPDATE question SET question_text = 'Coffee?'",
        "UPDATE question SET closes_at = now() + interval '1 day'",
        "UPDATE choice SET choice_text = 'Yes!' WHERE id = 1",
        "INSERT INTO choice (question_id, choice_text) VALUES (1, 'Perhaps')",
        "DELETE FROM choice WHERE id = 2",
        "UPDATE choice SET id = 99 WHERE id = 1",
    ):
        revision, edition = versions()
        execute(database, edit)
        assert versions() == (revision + 1, edition + 1), edit


@pytest.mark.parametrize("table", ["question", "choice"])
async def test_a_ballot_for_a_locked_poll_fails_and_others_in_its_batch_are_stored(
    recorder: Recorder, create_poll: CreatePoll, votes: Votes, database: Connection, table: str
) -> None:
    create_poll("Tea?", "Yes")
    create_poll("Coffee?", "Yes")
    create_poll("Cocoa?", "Yes")
    ballots = [ballot("ann", poll, poll=poll) for poll in (1, 2, 3)]
    with locked(database, f"SELECT FROM {table} WHERE id = 2 FOR UPDATE"):
        async with asyncio.timeout(4):
            outcomes = await recorder.record(ballots, TIMEOUT)

    assert [type(outcome) for outcome in outcomes] == [Counted, VoteNotStored, Counted]
    assert votes() == [1, 0, 1]
    assert await recorder.record(ballots, TIMEOUT) == [COUNTED, COUNTED, COUNTED]
    assert votes() == [1, 1, 1]


async def test_a_poll_whose_counts_are_wrong_fails_alone(
    recorder: Recorder, create_poll: CreatePoll, votes: Votes, database: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    create_poll("Tea?", "Yes", "No")
    create_poll("Coffee?", "Yes")
    await recorder.record([ballot("ann", 1)], TIMEOUT)
    execute(database, "UPDATE choice SET votes = 0")

    outcomes = await recorder.record([ballot("ann", 2), ballot("bob", 3, poll=2)], TIMEOUT)

    assert [type(outcome) for outcome in outcomes] == [VotingBroken, Counted]
    assert votes() == [0, 0, 1]
    assert "poll 1 can't take votes until it is repaired with `polls verify --repair --poll 1`" in caplog.text
    assert "choice_votes_check" in caplog.text


async def test_counts_are_repaired_from_the_ballots_and_the_history_says_so(
    recorder: Recorder, create_poll: CreatePoll, votes: Votes, database: Connection
) -> None:
    create_poll("Tea?", "Yes", "No")
    create_poll("Coffee?", "Yes")
    await recorder.record([ballot("ann", 1), ballot("bob", 2), ballot("cid", 3, poll=2)], TIMEOUT)
    execute(database, "UPDATE choice SET votes = 0 WHERE id = 1; UPDATE question SET ballots = 9 WHERE id = 1")
    before = execute(database, "SELECT revision FROM question ORDER BY id")

    with connect_again(database) as connection:
        assert list(repair(connection, list(recount(connection)))) == [1]
        assert list(repair(connection, list(recount(connection)))) == []

    assert is_exact(database)
    assert votes() == [1, 1, 1]
    after = execute(database, "SELECT revision FROM question ORDER BY id")
    assert after[0] > before[0]  # so every page shows the repaired counts
    assert after[1] == before[1]
    assert execute(database, "SELECT actor, subject, name, deed, changes FROM history") == [
        ("command line", "poll:1", "Tea?", "recounted", [["ballots", "9", "2"], ["votes", "Yes: 0", "Yes: 1"]])
    ]
    assert await recorder.record([ballot("ann", 2)], TIMEOUT) == [COUNTED]


async def test_a_batch_that_the_schema_refuses_will_not_work_in_a_few_seconds(
    recorder: Recorder, create_poll: CreatePoll, database: Connection
) -> None:
    create_poll("Tea?", "Yes")
    execute(database, "ALTER TABLE ballot DROP CONSTRAINT ballot_pkey")
    try:
        with pytest.raises(VotingBroken):
            await recorder.record([ballot("ann", 1)], TIMEOUT)
    finally:
        execute(database, "ALTER TABLE ballot ADD CONSTRAINT ballot_pkey PRIMARY KEY (question_id, voter)")

    assert await recorder.record([ballot("ann", 1)], TIMEOUT) == [COUNTED]


async def test_an_abandoned_batch_does_not_undo_a_later_ballot(
    postgres: Postgres, recorder: Recorder, create_poll: CreatePoll, votes: Votes, database: Connection
) -> None:
    """A batch waits for a lock past its deadline, while its voter votes again through another process."""
    create_poll("Tea?", "Yes")
    create_poll("Coffee?", "Yes", "No")
    elsewhere = Recorder(Database(postgres))
    await recorder.record([ballot("bob", 1), ballot("bob", 2, poll=2)], TIMEOUT)
    with locked(database, "SELECT FROM question WHERE id = 1 FOR UPDATE"):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await recorder.record([ballot("cid", 1), ballot("ann", 2, poll=2)], 0.3)

        assert await elsewhere.record([ballot("ann", 3, poll=2)], TIMEOUT) == [COUNTED]
    await asyncio.sleep(0.3)  # the abandoned batch has its lock now

    assert votes() == [1, 1, 1]
    assert is_exact(database)
    elsewhere.close()


async def test_nothing_is_stored_after_the_deadline(recorder: Recorder, create_poll: CreatePoll, votes: Votes) -> None:
    create_poll("Tea?", "Yes")

    (outcome,) = await recorder.record([ballot("ann", 1)], -0.1)

    assert isinstance(outcome, VoteNotStored)
    assert votes() == [0]


async def test_a_connection_that_is_cut_is_replaced(
    recorder: Recorder, create_poll: CreatePoll, votes: Votes, database: Connection
) -> None:
    create_poll("Tea?", "Yes")
    await recorder.record([ballot("ann", 1)], TIMEOUT)
    execute(
        database,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    async with asyncio.timeout(10):
        while recorder.is_connected:
            await asyncio.sleep(0.01)

    assert await recorder.record([ballot("bob", 1)], TIMEOUT) == [COUNTED]
    assert votes() == [2]


async def test_cancelling_a_batch_closes_its_connection(
    recorder: Recorder, create_poll: CreatePoll, votes: Votes, database: Connection
) -> None:
    create_poll("Tea?", "Yes")
    with locked(database, "SELECT FROM question FOR UPDATE"):
        recording = asyncio.create_task(recorder.record([ballot("ann", 1)], TIMEOUT))
        await asyncio.sleep(0.2)
        recording.cancel()
        with pytest.raises(asyncio.CancelledError):
            await recording
        assert not recorder.is_connected

    assert await recorder.record([ballot("ann", 1)], TIMEOUT) == [COUNTED]
    assert votes() == [1]


async def test_a_commit_with_a_warning_is_not_acknowledged(
    recorder: Recorder, create_poll: CreatePoll, database: Connection
) -> None:
    """PostgreSQL warns so of a commit that is on this host only: its wait for the standby was cancelled."""
    create_poll("Tea?", "Yes")
    await recorder.record([ballot("ann", 1)], TIMEOUT)
    execute(
        database,
        """
        CREATE FUNCTION warn() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'alone'; RETURN NULL; END $$;
        CREATE TRIGGER warn AFTER INSERT ON ballot FOR EACH ROW EXECUTE FUNCTION warn();
        """,
    )
    try:
        with pytest.raises(VoteNotStored) as raised:
            await recorder.record([ballot("bob", 1)], TIMEOUT)
        assert "alone" in str(raised.value.__cause__)
    finally:
        execute(database, "DROP FUNCTION warn CASCADE")

    assert await recorder.record([ballot("bob", 1)], TIMEOUT) == [COUNTED]
    assert is_exact(database)


async def test_the_recount_reports_ballots_for_removed_choices(
    recorder: Recorder, create_poll: CreatePoll, database: Connection
) -> None:
    create_poll("Tea?", "Yes", "No")
    await recorder.record([ballot("ann", 1), ballot("bob", 2)], TIMEOUT)
    execute(database, "DELETE FROM choice WHERE id = 1")

    with connect_again(database) as connection:
        assert [str(poll) for poll in recount(connection)] == [
            "poll 1: 2 ballots (1 for a choice that is no longer offered), counted exactly"
        ]


async def test_recounting_one_poll_gives_the_same_as_recounting_all(
    create_poll: CreatePoll, database: Connection
) -> None:
    create_poll("Tea?", "Yes", votes=(1,))
    create_poll("Coffee?", "Yes")
    execute(database, "UPDATE choice SET question_id = 2 WHERE id = 1")

    with connect_again(database) as connection:
        together = list(recount(connection))
        alone = [*recount(connection, 1), *recount(connection, 2)]

    assert together == alone
    assert [poll.is_exact for poll in alone] == [True, False]


@pytest.mark.parametrize("damaged", ["question.ballots", "choice.votes", "a ballot"])
def test_the_recount_finds_wrong_counts(
    create_poll: CreatePoll, database: Connection, postgres: Postgres, damaged: str
) -> None:
    create_poll("Tea?", "Yes", "No", votes=(2, 1))
    create_poll("Coffee?", "Yes", votes=(1,))
    damage = {
        "question.ballots": "UPDATE question SET ballots = 4 WHERE id = 1",
        "choice.votes": "UPDATE choice SET votes = 9 WHERE id = 1",
        "a ballot": "DELETE FROM ballot WHERE question_id = 1 AND marks = '{2}'",
    }
    assert is_exact(database)

    execute(database, damage[damaged])

    with connect(postgres) as connection:
        wrong, exact = recount(connection)
    assert (wrong.is_exact, exact.is_exact) == (False, True)
    assert "COUNTED WRONGLY" in str(wrong)
    assert str(exact) == "poll 2: 1 ballot, counted exactly"


def test_the_recount_finds_ballots_that_break_the_rules(
    create_poll: CreatePoll, database: Connection, postgres: Postgres
) -> None:
    create_poll("Tea?", "Yes", "No")
    create_poll("Dots?", "Yes", "No")
    execute(
        database,
        "INSERT INTO poll_settings (question_id, method, most_marks, most_points, budget) "
        "VALUES (2, 'dots', NULL, 3, 4)",
    )
    invalid = {
        1: [("{1,2}", None), ("{}", None), ("{1}", "{1}")],
        2: [("{3,4}", "{3,3}"), ("{3,3}", "{1,1}"), ("{3,4}", "{1}"), ("{3}", "{4}"), ("{3}", "{0}"), ("{3}", None)],
    }
    valid = {1: [("{1}", None)], 2: [("{3,4}", "{1,3}"), ("{4}", "{3}")]}
    for question_id, ballots in [*invalid.items(), *valid.items()]:
        for marks, points in ballots:
            with database.cursor() as cursor:
                cursor.execute(
                    "INSERT INTO ballot (question_id, voter, marks, points) "
                    "VALUES (%s, uuid_send(gen_random_uuid()), %s, %s)",
                    (question_id, marks, points),
                )

    with connect(postgres) as connection:
        recounts = list(recount(connection))

    assert [(each.question_id, each.ballots, each.invalid) for each in recounts] == [(1, 4, 3), (2, 8, 6)]
    assert "(6 AGAINST ITS RULES)" in str(recounts[1])


async def test_points_are_recounted_and_repaired(
    recorder: Recorder, create_poll: CreatePoll, database: Connection, postgres: Postgres
) -> None:
    create_poll("Dots?", "Yes", "No")
    execute(
        database,
        "INSERT INTO poll_settings (question_id, method, most_marks, most_points, budget) "
        "VALUES (1, 'dots', NULL, 3, 4)",
    )
    assert await recorder.record([Ballot(1, b"ann", (1, 2), (1, 3))], TIMEOUT) == [COUNTED]
    assert is_exact(database)

    execute(database, "UPDATE choice SET points = 9 WHERE id = 2")

    with connect(postgres) as connection:
        recounts = list(recount(connection))
        assert "choice 2 has 3 points, and choice.points says 9" in str(recounts[0])
        assert list(repair(connection, recounts)) == [1]
    assert is_exact(database)
