"""The ballot box over a fake database, which a test can block and break."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from contextvars import ContextVar

import pytest

from polls.domain.ballot import Ballot, Fault
from polls.domain.errors import InvalidBallot, VoteNotStored
from polls.live.ballot_box import BallotBox
from tests.live.fakes import run_ready_tasks


class FakeDatabase:
    """A database that answers "stored" for each ballot and records the batches; it blocks until `unblocked` is set."""

    def __init__(self) -> None:
        self.batches: list[list[Ballot]] = []
        self.seconds: list[float] = []
        self.unblocked = asyncio.Event()
        self.unblocked.set()
        self.error: Callable[[], BaseException] | None = None

    async def record(self, ballots: Sequence[Ballot], seconds: float) -> Sequence[str]:
        self.batches.append(list(ballots))
        self.seconds.append(seconds)
        await self.unblocked.wait()
        if self.error:
            raise self.error()
        return [f"{ballot.voter.decode()} stored" for ballot in ballots]

    @property
    def sizes(self) -> list[int]:
        return [len(batch) for batch in self.batches]


@pytest.fixture
def database() -> FakeDatabase:
    return FakeDatabase()


@pytest.fixture
async def box(database: FakeDatabase) -> AsyncIterator[BallotBox[str]]:
    box = BallotBox(database.record, queue_size=10_000, timeout=5)
    box.open()
    yield box
    database.unblocked.set()
    database.error = None
    await box.close()


@pytest.fixture
async def advance(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Advance the loop's time: `advance(seconds)`."""
    loop = asyncio.get_running_loop()
    real_time, skipped = loop.time, [0.0]
    monkeypatch.setattr(loop, "time", lambda: real_time() + sum(skipped))
    return skipped.append


def ballot(voter: object) -> Ballot:
    return Ballot(1, str(voter).encode(), (1,))


def cast(box: BallotBox[str], voter: object) -> "asyncio.Task[str]":
    """Start to cast the ballot of `voter`."""
    return asyncio.create_task(box.cast(ballot(voter)))


async def cast_and_block(box: BallotBox[str], database: FakeDatabase, voter: object = "first") -> "asyncio.Task[str]":
    """Block the database while it stores the ballot of `voter`."""
    database.unblocked.clear()
    first = cast(box, voter)
    await run_ready_tasks()
    assert database.sizes == [1]
    return first


async def test_a_single_ballot_is_recorded_at_once(box: BallotBox[str], database: FakeDatabase) -> None:
    vote = cast(box, "ann")

    await run_ready_tasks()  # no timer has fired

    assert vote.done()
    assert await vote == "ann stored"
    assert database.sizes == [1]


async def test_ballots_cast_while_a_batch_is_recorded_form_the_next_batch(
    box: BallotBox[str], database: FakeDatabase
) -> None:
    first = await cast_and_block(box, database)
    others = [cast(box, number) for number in range(50)]
    await run_ready_tasks()
    assert database.sizes == [1]

    database.unblocked.set()

    assert await first == "first stored"
    assert await asyncio.gather(*others) == [f"{number} stored" for number in range(50)]
    assert database.sizes == [1, 50]


@pytest.mark.parametrize(("iteration", "is_stored"), [(0.0001, False), (0.006, True)])
async def test_a_batch_waits_for_more_ballots_only_while_that_takes_no_time(
    box: BallotBox[str], database: FakeDatabase, advance: Callable[[float], None], iteration: float, is_stored: bool
) -> None:
    for voter in range(6):
        cast(box, voter)
        await asyncio.sleep(0)
        advance(iteration)

    assert bool(database.batches) == is_stored


async def test_a_refused_ballot_raises_its_refusal_and_leaves_the_others_counted() -> None:
    async def record(ballots: Sequence[Ballot], _: float) -> Sequence[str | Exception]:
        return [InvalidBallot(1, Fault.NO_MARKS) if ballot.voter == b"bob" else "stored" for ballot in ballots]

    box: BallotBox[str] = BallotBox(record, queue_size=10, timeout=5)
    box.open()

    outcomes = await asyncio.gather(*(cast(box, voter) for voter in ("ann", "bob", "cid")), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [str, InvalidBallot, str]
    await box.close()


async def test_a_batch_has_at_most_a_thousand_ballots(box: BallotBox[str], database: FakeDatabase) -> None:
    await cast_and_block(box, database)
    votes = [cast(box, number) for number in range(2500)]
    await run_ready_tasks()

    database.unblocked.set()
    await asyncio.gather(*votes)

    assert database.sizes == [1, 1000, 1000, 500]


async def test_a_ballot_beyond_the_queue_size_is_rejected_at_once(box: BallotBox[str], database: FakeDatabase) -> None:
    votes = [await cast_and_block(box, database)]
    votes += [cast(box, number) for number in range(9_999)]
    await run_ready_tasks()

    with pytest.raises(VoteNotStored):
        async with asyncio.timeout(0):
            await box.cast(ballot("one too many"))

    database.unblocked.set()
    assert len(await asyncio.gather(*votes)) == 10_000
    assert await cast(box, "later") == "later stored"


async def test_a_ballot_that_was_not_sent_in_time_is_dropped() -> None:
    class SlowToCancel(FakeDatabase):
        async def record(self, ballots: Sequence[Ballot], seconds: float) -> Sequence[str]:
            try:
                return await super().record(ballots, seconds)
            except asyncio.CancelledError:
                await asyncio.sleep(0.5)
                raise

    database = SlowToCancel()
    box = BallotBox(database.record, queue_size=10, timeout=0.1)
    box.open()
    first = await cast_and_block(box, database)
    late = [cast(box, number) for number in range(9)]

    outcomes = await asyncio.gather(first, *late, return_exceptions=True)
    database.unblocked.set()

    assert {type(outcome) for outcome in outcomes} == {VoteNotStored}
    await asyncio.sleep(0.6)
    assert await cast(box, "next") == "next stored"
    assert database.sizes == [1, 1]  # none of the nine was sent
    await box.close()


async def test_a_ballot_with_little_time_left_is_not_sent(
    box: BallotBox[str], database: FakeDatabase, advance: Callable[[float], None]
) -> None:
    await cast_and_block(box, database)
    old = cast(box, "old")
    await run_ready_tasks()
    advance(4.6)
    new = cast(box, "new")
    await run_ready_tasks()

    database.unblocked.set()

    with pytest.raises(VoteNotStored):
        await old
    assert await new == "new stored"
    assert database.sizes == [1, 1]


async def test_record_gets_the_seconds_until_the_earliest_deadline(
    box: BallotBox[str], database: FakeDatabase, advance: Callable[[float], None]
) -> None:
    await cast_and_block(box, database)
    votes = [cast(box, number) for number in range(3)]
    await run_ready_tasks()
    advance(3)

    database.unblocked.set()
    await asyncio.gather(*votes)

    assert 1.5 < database.seconds[1] <= 2


async def test_a_voter_is_answered_in_time_even_if_the_database_never_answers(database: FakeDatabase) -> None:
    box = BallotBox(database.record, queue_size=10, timeout=0.05)
    box.open()
    first = await cast_and_block(box, database)

    async with asyncio.timeout(1):
        with pytest.raises(VoteNotStored):
            await first

    database.unblocked.set()
    assert await cast(box, "next") == "next stored"
    await box.close()


@pytest.mark.parametrize(
    "error",
    [VoteNotStored, ValueError, asyncio.CancelledError, MemoryError, StopIteration, GeneratorExit],
)
async def test_after_any_error_the_voters_are_answered_and_the_next_ballots_are_stored(
    box: BallotBox[str], database: FakeDatabase, caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    database.error = error
    votes = [cast(box, number) for number in range(3)]

    outcomes = await asyncio.gather(*votes, return_exceptions=True)
    database.error = None

    assert {type(outcome) for outcome in outcomes} == {VoteNotStored}
    assert "votes can't be stored" in caplog.text
    assert await cast(box, "next") == "next stored"


async def test_a_wrong_number_of_outcomes_answers_no_voter(caplog: pytest.LogCaptureFixture) -> None:
    async def record_first_only(_: Sequence[Ballot], __: float) -> Sequence[str]:
        return ["stored"]

    box = BallotBox(record_first_only, queue_size=10, timeout=5)
    box.open()

    outcomes = await asyncio.gather(cast(box, "ann"), cast(box, "bob"), return_exceptions=True)

    assert {type(outcome) for outcome in outcomes} == {VoteNotStored}
    assert await box.cast(ballot("cid")) == "stored"
    assert "2 ballots have 1 answers" in caplog.text
    await box.close()


async def test_a_repeated_failure_is_logged_once_and_so_is_its_end(
    box: BallotBox[str], database: FakeDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    def unreachable() -> VoteNotStored:
        error = VoteNotStored()
        error.__cause__ = OSError("the server is unreachable")
        return error

    database.error = unreachable
    for _ in range(3):
        with pytest.raises(VoteNotStored):
            await cast(box, "ann")
    database.error = None
    for _ in range(3):
        await cast(box, "ann")

    assert [record.getMessage() for record in caplog.records if record.name == "polls.live.ballot_box"] == [
        "votes can't be stored: the server is unreachable",
        "votes are stored again",
    ]


async def test_the_box_is_failing_from_a_batch_that_is_not_stored_to_one_that_is(
    box: BallotBox[str], database: FakeDatabase
) -> None:
    states = [box.is_failing]
    for error in (VoteNotStored, None):
        database.error = error
        with suppress(VoteNotStored):
            await cast(box, "ann")
        states.append(box.is_failing)

    assert states == [False, True, False]


async def test_rejected_votes_are_logged_together(database: FakeDatabase, caplog: pytest.LogCaptureFixture) -> None:
    box = BallotBox(database.record, queue_size=1, timeout=0.1)
    box.open()
    first = await cast_and_block(box, database)

    outcomes = await asyncio.gather(first, *(cast(box, number) for number in range(50)), return_exceptions=True)
    await run_ready_tasks()

    assert {type(outcome) for outcome in outcomes} == {VoteNotStored}
    assert [record.getMessage() for record in caplog.records if "waited" in record.getMessage()] == [
        "50 votes were not stored, because the queue was full or they waited too long"
    ]
    database.unblocked.set()
    await box.close()


@pytest.mark.parametrize("sent", [True, False])
async def test_the_ballot_of_a_voter_who_disconnects_is_stored_and_leaves_the_queue(
    box: BallotBox[str], database: FakeDatabase, sent: bool
) -> None:
    first = await cast_and_block(box, database, "ann")
    second = cast(box, "bob")
    await run_ready_tasks()

    (first if sent else second).cancel()
    await run_ready_tasks()
    database.unblocked.set()

    outcome = await (second if sent else first)
    assert outcome == ("bob stored" if sent else "ann stored")
    await run_ready_tasks()
    assert [batch[0].voter for batch in database.batches] == [b"ann", b"bob"]
    assert box.waiting == 0


async def test_close_records_and_answers_the_ballots_already_cast(database: FakeDatabase) -> None:
    box = BallotBox(database.record, queue_size=10_000, timeout=5)
    box.open()
    first = await cast_and_block(box, database)
    others = [cast(box, number) for number in range(1_500)]
    await run_ready_tasks()

    closing = asyncio.create_task(box.close())
    await run_ready_tasks()
    with pytest.raises(VoteNotStored):
        await box.cast(ballot("late"))
    assert not closing.done()
    database.unblocked.set()
    await closing

    assert first.result() == "first stored"
    assert all(other.done() for other in others)
    assert sum(database.sizes) == 1_501


async def test_a_box_that_was_never_used_closes(database: FakeDatabase) -> None:
    box = BallotBox(database.record, queue_size=1, timeout=5)
    box.open()
    async with asyncio.timeout(1):
        await box.close()


async def test_rejections_are_logged_without_a_request_id(database: FakeDatabase) -> None:
    """A log line about many ballots must not carry the id of the request that cast the first of them."""
    request_id: ContextVar[str] = ContextVar("request_id", default="none")
    lines: list[str] = []

    def record_line(record: logging.LogRecord) -> bool:
        lines.append(f"{request_id.get()}: {record.getMessage().split(',')[0]}")
        return True

    box = BallotBox(database.record, queue_size=1, timeout=0.2)
    box.open()
    logger = logging.getLogger("polls.live.ballot_box")
    request_id.set("ann")
    logger.addFilter(record_line)
    try:
        first = await cast_and_block(box, database, "ann")
        with pytest.raises(VoteNotStored):
            await cast(box, "bob")
        assert (box.waiting, box.rejected) == (1, 1)
        with pytest.raises(VoteNotStored):
            await first
        assert (box.waiting, box.rejected) == (0, 1)
    finally:
        logger.removeFilter(record_line)
        database.unblocked.set()
        await box.close()

    assert "none: 1 votes were not stored" in lines
    assert not any(line.startswith("ann") for line in lines)
