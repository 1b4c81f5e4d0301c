"""The ballot box with a fake behind it, that a test holds up, lets go, or breaks."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextvars import ContextVar

import pytest

from polls.domain.ballot import Ballot
from polls.domain.errors import VoteNotStored
from polls.live import ballot_box as module
from polls.live.ballot_box import BallotBox


class Database:
    """Stands where ballots are recorded: tells of each ballot "stored", and remembers what came together."""

    def __init__(self) -> None:
        self.batches: list[list[Ballot]] = []
        self.seconds: list[float] = []
        self.open = asyncio.Event()
        self.open.set()
        self.fault: Callable[[], BaseException] | None = None

    async def record(self, ballots: Sequence[Ballot], seconds: float) -> Sequence[str]:
        self.batches.append(list(ballots))
        self.seconds.append(seconds)
        await self.open.wait()
        if self.fault:
            raise self.fault()
        return [f"{ballot.voter.decode()} stored" for ballot in ballots]

    @property
    def sizes(self) -> list[int]:
        return [len(batch) for batch in self.batches]


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
async def box(database: Database) -> AsyncIterator[BallotBox[str]]:
    box = BallotBox(database.record, queue_size=10_000, timeout=5)
    box.open()
    yield box
    database.open.set()
    database.fault = None
    await box.close()


def ballot(voter: object) -> Ballot:
    return Ballot(1, str(voter).encode(), (1,))


def voting(box: BallotBox[str], *voters: object) -> "asyncio.Task[Sequence[str]]":
    """These voters hand in a ballot each, together."""
    return asyncio.create_task(box.cast([ballot(voter) for voter in voters]))


async def a_moment() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


async def held_up(box: BallotBox[str], database: Database, voter: object = "first") -> "asyncio.Task[Sequence[str]]":
    """The database takes a first ballot, and does not come back."""
    database.open.clear()
    first = voting(box, voter)
    await a_moment()
    assert database.sizes == [1]
    return first


async def test_a_ballot_that_comes_alone_is_recorded_at_once(box: BallotBox[str], database: Database) -> None:
    vote = voting(box, "ann")

    await a_moment()  # no clock has moved

    assert vote.done()
    assert await vote == ["ann stored"]
    assert database.sizes == [1]


async def test_what_comes_while_others_are_being_recorded_is_recorded_together(
    box: BallotBox[str], database: Database
) -> None:
    first = await held_up(box, database)
    others = [voting(box, number) for number in range(50)]
    await a_moment()
    assert database.sizes == [1]

    database.open.set()

    assert await first == ["first stored"]
    assert await asyncio.gather(*others) == [[f"{number} stored"] for number in range(50)]
    assert database.sizes == [1, 50]


async def test_the_ballots_of_one_voter_are_recorded_and_answered_together(
    box: BallotBox[str], database: Database
) -> None:
    await held_up(box, database)
    many, three = voting(box, *range(999)), voting(box, "a", "b", "c")
    await a_moment()

    database.open.set()

    assert len(await many) == 999
    assert await three == ["a stored", "b stored", "c stored"]
    assert database.sizes == [1, 999, 3]


async def test_no_more_than_a_thousand_are_recorded_together(box: BallotBox[str], database: Database) -> None:
    await held_up(box, database)
    votes = [voting(box, number) for number in range(2500)]
    await a_moment()

    database.open.set()
    await asyncio.gather(*votes)

    assert database.sizes == [1, 1000, 1000, 500]


async def test_ten_thousand_may_wait_and_the_next_is_refused_at_once(box: BallotBox[str], database: Database) -> None:
    votes = [await held_up(box, database)]
    votes += [voting(box, number) for number in range(9_999)]
    await a_moment()

    with pytest.raises(VoteNotStored):
        async with asyncio.timeout(0):
            await box.cast([ballot("one too many")])

    database.open.set()
    assert len(await asyncio.gather(*votes)) == 10_000
    assert await voting(box, "later") == ["later stored"]


async def test_a_ballot_that_was_not_sent_in_time_is_dropped() -> None:
    class Stubborn(Database):
        async def record(self, ballots: Sequence[Ballot], seconds: float) -> Sequence[str]:
            try:
                return await super().record(ballots, seconds)
            except asyncio.CancelledError:
                await asyncio.sleep(0.5)  # it takes its time to give up
                raise

    database = Stubborn()
    box = BallotBox(database.record, queue_size=10, timeout=0.1)
    box.open()
    first = await held_up(box, database)
    late = [voting(box, number) for number in range(9)]

    outcomes = await asyncio.gather(first, *late, return_exceptions=True)
    database.open.set()

    assert {type(outcome) for outcome in outcomes} == {VoteNotStored}
    await asyncio.sleep(0.6)
    assert await voting(box, "next") == ["next stored"]
    assert database.sizes == [1, 1]  # none of the nine was sent
    await box.close()


async def test_a_ballot_with_next_to_no_time_left_is_not_sent_any_more(box: BallotBox[str], database: Database) -> None:
    await held_up(box, database)
    late, early = voting(box, "late"), voting(box, "early")
    await a_moment()
    box._queue[0].deadline -= 4.6

    database.open.set()

    with pytest.raises(VoteNotStored):
        await late
    assert await early == ["early stored"]


async def test_what_is_recorded_is_told_how_long_its_voters_wait(box: BallotBox[str], database: Database) -> None:
    await held_up(box, database)
    votes = [voting(box, number) for number in range(3)]
    await a_moment()
    box._queue[0].deadline -= 3

    database.open.set()
    await asyncio.gather(*votes)

    assert 1.5 < database.seconds[1] <= 2


async def test_a_voter_is_answered_in_time_even_if_the_database_never_comes_back(database: Database) -> None:
    box = BallotBox(database.record, queue_size=10, timeout=0.05)
    box.open()
    first = await held_up(box, database)

    async with asyncio.timeout(1):
        with pytest.raises(VoteNotStored):
            await first

    database.open.set()
    assert await voting(box, "next") == ["next stored"]
    await box.close()


@pytest.mark.parametrize(
    "fault",
    [VoteNotStored, ValueError, asyncio.CancelledError, MemoryError, StopIteration, GeneratorExit],
)
async def test_whatever_goes_wrong_its_voters_are_answered_and_the_next_are_served(
    box: BallotBox[str], database: Database, caplog: pytest.LogCaptureFixture, fault: type[BaseException]
) -> None:
    database.fault = fault
    votes = [voting(box, number) for number in range(3)]

    outcomes = await asyncio.gather(*votes, return_exceptions=True)
    database.fault = None

    assert {type(outcome) for outcome in outcomes} == {VoteNotStored}
    assert "votes can't be stored" in caplog.text
    assert await voting(box, "next") == ["next stored"]


async def test_a_wrong_number_of_outcomes_is_nobodys_outcome(caplog: pytest.LogCaptureFixture) -> None:
    async def careless(_: Sequence[Ballot], __: float) -> Sequence[str]:
        return ["stored"]

    box = BallotBox(careless, queue_size=10, timeout=5)
    box.open()

    with pytest.raises(VoteNotStored):
        await box.cast([ballot("ann"), ballot("bob")])
    assert await box.cast([ballot("cid")]) == ["stored"]
    assert "2 ballots have 1 outcomes" in caplog.text
    await box.close()


async def test_the_same_trouble_is_logged_once_and_so_is_its_end(
    box: BallotBox[str], database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    def away() -> VoteNotStored:
        error = VoteNotStored()
        error.__cause__ = OSError("the server is away")
        return error

    database.fault = away
    for _ in range(3):
        with pytest.raises(VoteNotStored):
            await voting(box, "ann")
    database.fault = None
    for _ in range(3):
        await voting(box, "ann")

    assert [record.getMessage() for record in caplog.records if record.name == "polls.live.ballot_box"] == [
        "votes can't be stored: the server is away",
        "votes are stored again",
    ]


async def test_that_votes_are_refused_is_logged_from_time_to_time(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    box = BallotBox(database.record, queue_size=1, timeout=0.1)
    box.open()
    first = await held_up(box, database)

    outcomes = await asyncio.gather(first, *(voting(box, number) for number in range(50)), return_exceptions=True)
    await a_moment()

    assert {type(outcome) for outcome in outcomes} == {VoteNotStored}
    assert [record.getMessage() for record in caplog.records if "waited" in record.getMessage()] == [
        "50 votes were not stored, because too many waited, or waited too long"
    ]
    database.open.set()
    await box.close()


@pytest.mark.parametrize("sent", [True, False])
async def test_a_voter_who_goes_away_loses_nothing_and_leaves_nothing_behind(
    box: BallotBox[str], database: Database, sent: bool
) -> None:
    first = await held_up(box, database, "ann")
    second = voting(box, "bob")
    await a_moment()

    (first if sent else second).cancel()
    await a_moment()
    database.open.set()

    stayed = await (second if sent else first)
    assert stayed == ["bob stored" if sent else "ann stored"]
    await a_moment()
    assert [batch[0].voter for batch in database.batches] == [b"ann", b"bob"]
    assert (box._waiting, len(box._queue), box._in_hand) == (0, 0, [])


async def test_at_the_end_what_was_handed_in_is_recorded_and_answered(database: Database) -> None:
    box = BallotBox(database.record, queue_size=10_000, timeout=5)
    box.open()
    first = await held_up(box, database)
    others = [voting(box, number) for number in range(1_500)]
    await a_moment()

    closing = asyncio.create_task(box.close())
    await a_moment()
    with pytest.raises(VoteNotStored):
        await box.cast([ballot("late")])
    assert not closing.done()
    database.open.set()
    await closing

    assert first.result() == ["first stored"]
    assert all(other.done() for other in others)
    assert sum(database.sizes) == 1_501


async def test_a_box_that_was_never_used_closes(database: Database) -> None:
    box = BallotBox(database.record, queue_size=1, timeout=5)
    box.open()
    async with asyncio.timeout(1):
        await box.close()


async def test_who_was_turned_away_is_told_in_nobodys_name(database: Database) -> None:
    """What is logged of many is not found by the id of the one request that came first."""
    whose: ContextVar[str] = ContextVar("whose", default="nobody's")
    names: list[str] = []

    def note(record: logging.LogRecord) -> bool:
        names.append(f"{whose.get()}: {record.getMessage().split(',')[0]}")
        return True

    box = BallotBox(database.record, queue_size=1, timeout=0.2)
    box.open()
    whose.set("ann's")
    module.logger.addFilter(note)
    try:
        first = await held_up(box, database, "ann")
        with pytest.raises(VoteNotStored):
            await voting(box, "bob")
        assert (box.waiting, box.rejected) == (1, 1)
        with pytest.raises(VoteNotStored):
            await first
        assert (box.waiting, box.rejected) == (0, 1)
    finally:
        module.logger.removeFilter(note)
        database.open.set()
        await box.close()

    assert "nobody's: 1 votes were not stored" in names
    assert not any(name.startswith("ann's") for name in names)
