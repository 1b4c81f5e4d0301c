"""Group commit: ballots that come while others are being stored are stored together, and each voter is answered."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from typing import Generic, TypeVar

from polls.domain.ballot import Ballot
from polls.domain.errors import VoteNotStored

logger = logging.getLogger(__name__)

MOST_TOGETHER = 1000  # ballots in one transaction
_LAST_CHANCE = 0.1  # of its time: a ballot with less than that left is not sent any more
_MOST_TURNS = 10  # of the loop, for which a batch waits for more

Outcome = TypeVar("Outcome")


@dataclass(slots=True, eq=False)
class _Envelope(Generic[Outcome]):
    """The ballots that a voter has handed in together, and where their outcomes are waited for."""

    ballots: Sequence[Ballot]
    outcomes: "asyncio.Future[Sequence[Outcome]]"
    deadline: float
    is_open: bool = True  # nobody has been answered; a voter who went away may have cancelled the future


class BallotBox(Generic[Outcome]):
    """Takes ballots in, hands them in batches to `record`, and tells each voter the outcome of their own.

    `record` takes a list of ballots, and the seconds after which none of them may be stored any more. It returns as
    many outcomes, in that order, or raises when nobody knows them. It is called once at a time: at once for a ballot
    that comes alone, and with all that have gathered meanwhile after that. At most `queue_size` ballots wait for an
    answer, each for `timeout` seconds at most.
    """

    def __init__(
        self,
        record: Callable[[Sequence[Ballot], float], Awaitable[Sequence[Outcome]]],
        *,
        queue_size: int,
        timeout: float,
    ) -> None:
        self._record = record
        self._queue_size = queue_size
        self._timeout = timeout
        self._waiting = 0
        self._queue: deque[_Envelope[Outcome]] = deque()
        self._in_hand: list[_Envelope[Outcome]] = []
        self._called = asyncio.Event()
        self._closing = False
        self._alarm: asyncio.TimerHandle | None = None
        self._trouble = ""
        self._rejected = 0  # ballots
        self._mentioned = 0  # of these, in the log

    def open(self) -> None:
        """Begin to store what is cast."""
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()  # nobody's: what is done for all is not logged as done for one request
        self._writer = self._loop.create_task(self._write(), name="writer of ballots")

    async def close(self) -> None:
        """Take no more ballots; return when those that were handed in are stored and answered."""
        self._closing = True
        self._called.set()
        await self._writer
        if self._alarm:
            self._alarm.cancel()

    @property
    def waiting(self) -> int:
        """How many ballots wait for an answer."""
        return self._waiting

    @property
    def rejected(self) -> int:
        """How many ballots were never handed to `record`, because too many waited, or these too long."""
        return self._rejected

    async def cast(self, ballots: Sequence[Ballot]) -> Sequence[Outcome]:
        """Hand in the ballots of one voter, and return what became of each when all are stored.

        Raises VoteNotStored when too many wait, when they were not stored in time, or when nobody can tell.
        """
        if self._closing or self._waiting + len(ballots) > self._queue_size:
            self._rejected += len(ballots)
            raise VoteNotStored
        envelope = _Envelope(ballots, self._loop.create_future(), self._loop.time() + self._timeout)
        self._queue.append(envelope)
        self._waiting += len(ballots)
        self._called.set()
        if self._alarm is None:
            self._alarm = self._loop.call_at(envelope.deadline, self._expire, context=self._context)
        return await envelope.outcomes

    async def _write(self) -> None:
        while self._queue or not self._closing:
            await self._called.wait()
            await self._let_join()
            self._in_hand = self._next_batch()
            if self._in_hand:
                await self._store(self._in_hand)
                self._in_hand = []

    async def _let_join(self) -> None:
        """Let those join in who are just arriving: turns of the loop, for as long as they bring more.

        A request takes two turns from its socket to here. When nothing else is to be done, two turns are no delay.
        """
        turns_without_more = 0
        for _ in range(_MOST_TURNS):
            before = len(self._queue)
            await asyncio.sleep(0)
            turns_without_more = turns_without_more + 1 if len(self._queue) <= before else 0
            if turns_without_more == 2:
                return

    def _next_batch(self) -> list[_Envelope[Outcome]]:
        """As many whole envelopes as fit in one transaction."""
        # Who has next to no time left would leave the others as little.
        self._answer_overdue(self._loop.time() + _LAST_CHANCE * self._timeout)
        batch: list[_Envelope[Outcome]] = []
        size = 0
        while self._queue and (not batch or size + len(self._queue[0].ballots) <= MOST_TOGETHER):
            batch.append(self._queue.popleft())
            size += len(batch[-1].ballots)
        if not self._queue and not self._closing:
            self._called.clear()
        return batch

    async def _store(self, batch: Sequence[_Envelope[Outcome]]) -> None:
        """Store a batch and answer its voters, whatever goes wrong, so that the next one is stored."""
        try:
            ballots = [ballot for envelope in batch for ballot in envelope.ballots]
            seconds = batch[0].deadline - self._loop.time()
            async with asyncio.timeout(seconds):
                outcomes = await self._record(ballots, seconds)
            if len(outcomes) != len(ballots):
                raise AssertionError(f"{len(ballots)} ballots have {len(outcomes)} outcomes")  # noqa: TRY301
            in_order = iter(outcomes)
            for envelope in batch:
                self._answer(envelope, [next(in_order) for _ in envelope.ballots])
        except BaseException as error:
            task = asyncio.current_task()
            if isinstance(error, KeyboardInterrupt | SystemExit) or (task and task.cancelling()):
                raise
            self._log_failure(error)
        else:
            self._log_recovery()
        finally:
            for envelope in batch:
                self._answer(envelope, None)

    def _answer(self, envelope: _Envelope[Outcome], outcomes: Sequence[Outcome] | None) -> None:
        """Tell a voter the outcomes; None says that nobody knows them. The first answer counts."""
        if not envelope.is_open:
            return
        envelope.is_open = False
        self._waiting -= len(envelope.ballots)
        if envelope.outcomes.done():  # the voter went away
            return
        if outcomes is None:
            envelope.outcomes.set_exception(VoteNotStored())
        else:
            envelope.outcomes.set_result(outcomes)

    def _answer_overdue(self, now: float) -> None:
        """Answer those whose time is over by `now`. What was not sent yet is dropped."""
        for envelope in self._in_hand:
            if envelope.deadline <= now:
                self._answer(envelope, None)
        while self._queue and self._queue[0].deadline <= now:
            self._rejected += len(self._queue[0].ballots)
            self._answer(self._queue.popleft(), None)

    def _expire(self) -> None:
        """Look after those who wait; again when the time of the next is over."""
        self._answer_overdue(self._loop.time())
        waiting = next((envelope for envelope in (*self._in_hand, *self._queue) if envelope.is_open), None)
        self._alarm = self._loop.call_at(waiting.deadline, self._expire) if waiting else None
        if more := self._rejected - self._mentioned:
            logger.warning("%d votes were not stored, because too many waited, or waited too long", more)
            self._mentioned = self._rejected

    def _log_failure(self, error: BaseException) -> None:
        """Log why ballots were not stored: once, as long as it is the same."""
        cause = error.__cause__ or error
        nameless = "no answer in time" if isinstance(cause, TimeoutError) else type(cause).__name__
        trouble = " ".join(str(cause).split()) or nameless
        if trouble != self._trouble:
            expected = isinstance(error, VoteNotStored | TimeoutError)
            logger.log(
                logging.WARNING if expected else logging.ERROR,
                "votes can't be stored: %s",
                trouble,
                exc_info=None if expected else error,
            )
        self._trouble = trouble

    def _log_recovery(self) -> None:
        if self._trouble:
            logger.info("votes are stored again")
        self._trouble = ""
