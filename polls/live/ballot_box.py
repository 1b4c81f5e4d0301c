"""Group commit of ballots: those cast while a batch is being stored form the next batch."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from typing import Generic, TypeVar

from polls.aio import is_cancelled
from polls.domain.ballot import Ballot
from polls.domain.errors import VoteNotStored, VotingBroken

logger = logging.getLogger(__name__)

MAX_BATCH = 1000  # ballots in one transaction
_MIN_TIME_LEFT = 0.1  # share of the time-out: a ballot with less time left isn't sent
_MAX_ITERATIONS = 10  # of the event loop that a batch waits for more ballots
_MAX_GATHERING = 0.01  # seconds of these iterations: with thousands of requests, one takes longer than that

Answer = TypeVar("Answer")


@dataclass(slots=True, eq=False)
class _PendingBallot(Generic[Answer]):
    """A ballot that was cast, and the future of its answer."""

    ballot: Ballot
    answer: "asyncio.Future[Answer]"
    deadline: float
    is_pending: bool = True  # not answered yet, even if the voter has disconnected and the future is cancelled


class BallotBox(Generic[Answer]):
    """A queue of ballots that are stored in batches; each voter is answered after their batch.

    `record` takes a list of ballots, and the seconds after which none of them may be stored any more. It returns the
    answer to each, or the exception that refuses it, in the same order; it raises VotingBroken if none can be stored
    until the database is repaired, and others if the outcomes are unknown. There is one call at a time: immediately for
    a ballot that arrives while none runs, and then with all ballots that have queued meanwhile. At most `queue_size`
    ballots are pending, each for at most `timeout` seconds.

    `waiting` is the number of ballots that wait for an answer. `rejected` counts those that were never passed to
    `record`, because the queue was full or their time was up. `is_failing` is set when a batch isn't stored, or not
    known to be, and reset when one is, or by others who have seen that writing succeeds again.
    """

    def __init__(
        self,
        record: Callable[[Sequence[Ballot], float], Awaitable[Sequence[Answer | Exception]]],
        *,
        queue_size: int,
        timeout: float,
    ) -> None:
        self._record = record
        self._queue_size = queue_size
        self._timeout = timeout
        self.waiting = 0
        self._queue: deque[_PendingBallot[Answer]] = deque()
        self._in_flight: list[_PendingBallot[Answer]] = []
        self._wake = asyncio.Event()
        self._closing = False
        self._timer: asyncio.TimerHandle | None = None
        self._last_failure = ""
        self.rejected = 0
        self.is_failing = False
        self._rejected_logged = 0

    def open(self) -> None:
        """Start the task that stores ballots."""
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()  # of no request: log lines about all ballots must not carry a request id
        self._writer = self._loop.create_task(self._write(), name="ballot writer")

    async def close(self) -> None:
        """Reject new ballots; return when those already cast are stored and answered."""
        self._closing = True
        self._wake.set()
        await self._writer
        if self._timer:
            self._timer.cancel()

    async def cast(self, ballot: Ballot) -> Answer:
        """Cast a ballot, and return the answer when it is stored.

        Raises the exception that refuses it, or VoteNotStored if the queue is full, if the ballot isn't stored in time,
        or if its outcome is unknown.
        """
        if self._closing or self.waiting >= self._queue_size:
            self.rejected += 1
            raise VoteNotStored
        pending: _PendingBallot[Answer] = _PendingBallot(
            ballot, self._loop.create_future(), self._loop.time() + self._timeout
        )
        self._queue.append(pending)
        self.waiting += 1
        self._wake.set()
        if self._timer is None:
            self._timer = self._loop.call_at(pending.deadline, self._expire, context=self._context)
        return await pending.answer

    async def _write(self) -> None:
        while self._queue or not self._closing:
            await self._wake.wait()
            await self._gather()
            # The earliest deadline limits the whole batch: a ballot with little time left would leave others as little.
            self._answer_overdue(self._loop.time() + _MIN_TIME_LEFT * self._timeout)
            self._in_flight = [self._queue.popleft() for _ in range(min(len(self._queue), MAX_BATCH))]
            if not self._queue and not self._closing:
                self._wake.clear()
            if self._in_flight:
                await self._store(self._in_flight)
                self._in_flight = []

    async def _gather(self) -> None:
        """Yield to the event loop while requests that are already being read add ballots.

        A request takes two iterations of the loop from its socket to `cast`. On an idle loop these take no time.
        """
        iterations_without_more = 0
        end = self._loop.time() + _MAX_GATHERING
        for _ in range(_MAX_ITERATIONS):
            before = len(self._queue)
            await asyncio.sleep(0)
            iterations_without_more = iterations_without_more + 1 if len(self._queue) <= before else 0
            if iterations_without_more == 2 or self._loop.time() >= end:
                return

    async def _store(self, batch: Sequence[_PendingBallot[Answer]]) -> None:
        """Store a batch and answer its voters; no error may stop the storing of later batches."""
        try:
            seconds = batch[0].deadline - self._loop.time()
            async with asyncio.timeout(seconds):
                answers = await self._record([pending.ballot for pending in batch], seconds)
            if len(answers) != len(batch):
                raise AssertionError(f"{len(batch)} ballots have {len(answers)} answers")  # noqa: TRY301
            for pending, answer in zip(batch, answers, strict=True):
                self._answer(pending, answer)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt | SystemExit) or is_cancelled():
                raise
            self.is_failing = True
            self._log_failure(error)
            if isinstance(error, VotingBroken):
                for pending in batch:
                    self._answer(pending, VotingBroken())
        else:
            self.is_failing = False
            if self._last_failure:
                logger.info("votes are stored again")
            self._last_failure = ""
        finally:
            for pending in batch:
                self._answer(pending, None)

    def _answer(self, pending: _PendingBallot[Answer], answer: Answer | Exception | None) -> None:
        """Answer a voter once, with VoteNotStored if `answer` is None. Later calls do nothing."""
        if not pending.is_pending:
            return
        pending.is_pending = False
        self.waiting -= 1
        if pending.answer.done():  # cancelled: the voter has disconnected
            return
        if answer is None or isinstance(answer, Exception):
            pending.answer.set_exception(answer or VoteNotStored())
        else:
            pending.answer.set_result(answer)

    def _answer_overdue(self, now: float) -> None:
        """Answer ballots with deadlines until `now`; drop those that haven't been sent."""
        for pending in self._in_flight:
            if pending.deadline <= now:
                self._answer(pending, None)
        while self._queue and self._queue[0].deadline <= now:
            self.rejected += 1
            self._answer(self._queue.popleft(), None)

    def _expire(self) -> None:
        """Answer overdue ballots, log rejections, and set the timer for the next deadline."""
        self._answer_overdue(self._loop.time())
        earliest = next((pending for pending in (*self._in_flight, *self._queue) if pending.is_pending), None)
        self._timer = self._loop.call_at(earliest.deadline, self._expire) if earliest else None
        if more := self.rejected - self._rejected_logged:
            logger.warning("%d votes were not stored, because the queue was full or they waited too long", more)
            self._rejected_logged = self.rejected

    def _log_failure(self, error: BaseException) -> None:
        """Log why ballots weren't stored, unless it is the same reason as the last time."""
        cause = error.__cause__ or error
        fallback = "no answer in time" if isinstance(cause, TimeoutError) else type(cause).__name__
        reason = " ".join(str(cause).split()) or fallback
        if reason != self._last_failure:
            expected = isinstance(error, VoteNotStored | VotingBroken | TimeoutError)
            logger.log(
                logging.WARNING if isinstance(error, VoteNotStored | TimeoutError) else logging.ERROR,
                "votes can't be stored: %s",
                reason,
                exc_info=None if expected else error,
            )
        self._last_failure = reason
