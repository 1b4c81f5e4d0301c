"""Group commit of ballots: those cast while a batch is being stored form the next batch."""

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

MAX_BATCH = 1000  # ballots in one transaction
_MIN_TIME_LEFT = 0.1  # share of the time-out: a ballot with less time left isn't sent
_MAX_ITERATIONS = 10  # of the event loop that a batch waits for more ballots

Outcome = TypeVar("Outcome")


@dataclass(slots=True, eq=False)
class _Submission(Generic[Outcome]):
    """Ballots that a voter has cast together, and the future of their outcomes."""

    ballots: Sequence[Ballot]
    outcomes: "asyncio.Future[Sequence[Outcome]]"
    deadline: float
    is_pending: bool = True  # not answered yet, even if the voter has disconnected and the future is cancelled


class BallotBox(Generic[Outcome]):
    """A queue of ballots that are stored in batches; each voter is answered after their batch.

    `record` takes a list of ballots, and the seconds after which none of them may be stored any more. It returns as
    many outcomes in the same order, or raises if they are unknown. There is one call at a time: immediately for a
    ballot that arrives while none runs, and then with all ballots that have queued meanwhile. At most `queue_size`
    ballots are pending, each for at most `timeout` seconds.
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
        self._queue: deque[_Submission[Outcome]] = deque()
        self._in_flight: list[_Submission[Outcome]] = []
        self._wake = asyncio.Event()
        self._closing = False
        self._timer: asyncio.TimerHandle | None = None
        self._last_failure = ""
        self._rejected = 0  # ballots
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

    @property
    def waiting(self) -> int:
        """Return the number of ballots that wait for an answer."""
        return self._waiting

    @property
    def rejected(self) -> int:
        """Return how many ballots were never passed to `record`, because the queue was full or their time was up."""
        return self._rejected

    async def cast(self, ballots: Sequence[Ballot]) -> Sequence[Outcome]:
        """Cast the ballots of one voter together; return their outcomes when all are stored.

        Raises VoteNotStored if the queue is full, if they aren't stored in time, or if their outcomes are unknown.
        """
        if self._closing or self._waiting + len(ballots) > self._queue_size:
            self._rejected += len(ballots)
            raise VoteNotStored
        submission = _Submission(ballots, self._loop.create_future(), self._loop.time() + self._timeout)
        self._queue.append(submission)
        self._waiting += len(ballots)
        self._wake.set()
        if self._timer is None:
            self._timer = self._loop.call_at(submission.deadline, self._expire, context=self._context)
        return await submission.outcomes

    async def _write(self) -> None:
        while self._queue or not self._closing:
            await self._wake.wait()
            await self._gather()
            self._in_flight = self._next_batch()
            if self._in_flight:
                await self._store(self._in_flight)
                self._in_flight = []

    async def _gather(self) -> None:
        """Yield to the event loop while requests that are already being read add ballots.

        A request takes two iterations of the loop from its socket to `cast`. On an idle loop these take no time.
        """
        iterations_without_more = 0
        for _ in range(_MAX_ITERATIONS):
            before = len(self._queue)
            await asyncio.sleep(0)
            iterations_without_more = iterations_without_more + 1 if len(self._queue) <= before else 0
            if iterations_without_more == 2:
                return

    def _next_batch(self) -> list[_Submission[Outcome]]:
        """Return as many whole submissions as fit in one transaction."""
        # The earliest deadline limits the whole batch: a ballot with little time left would leave the others as little.
        self._answer_overdue(self._loop.time() + _MIN_TIME_LEFT * self._timeout)
        batch: list[_Submission[Outcome]] = []
        size = 0
        while self._queue and (not batch or size + len(self._queue[0].ballots) <= MAX_BATCH):
            batch.append(self._queue.popleft())
            size += len(batch[-1].ballots)
        if not self._queue and not self._closing:
            self._wake.clear()
        return batch

    async def _store(self, batch: Sequence[_Submission[Outcome]]) -> None:
        """Store a batch and answer its voters; no error may stop the storing of later batches."""
        try:
            ballots = [ballot for submission in batch for ballot in submission.ballots]
            seconds = batch[0].deadline - self._loop.time()
            async with asyncio.timeout(seconds):
                outcomes = await self._record(ballots, seconds)
            if len(outcomes) != len(ballots):
                raise AssertionError(f"{len(ballots)} ballots have {len(outcomes)} outcomes")  # noqa: TRY301
            in_order = iter(outcomes)
            for submission in batch:
                self._answer(submission, [next(in_order) for _ in submission.ballots])
        except BaseException as error:
            task = asyncio.current_task()
            if isinstance(error, KeyboardInterrupt | SystemExit) or (task and task.cancelling()):
                raise
            self._log_failure(error)
        else:
            self._log_recovery()
        finally:
            for submission in batch:
                self._answer(submission, None)

    def _answer(self, submission: _Submission[Outcome], outcomes: Sequence[Outcome] | None) -> None:
        """Answer a voter once, with VoteNotStored if `outcomes` is None. Later calls do nothing."""
        if not submission.is_pending:
            return
        submission.is_pending = False
        self._waiting -= len(submission.ballots)
        if submission.outcomes.done():  # cancelled: the voter has disconnected
            return
        if outcomes is None:
            submission.outcomes.set_exception(VoteNotStored())
        else:
            submission.outcomes.set_result(outcomes)

    def _answer_overdue(self, now: float) -> None:
        """Answer submissions with deadlines until `now`; drop those that haven't been sent."""
        for submission in self._in_flight:
            if submission.deadline <= now:
                self._answer(submission, None)
        while self._queue and self._queue[0].deadline <= now:
            self._rejected += len(self._queue[0].ballots)
            self._answer(self._queue.popleft(), None)

    def _expire(self) -> None:
        """Answer overdue submissions, log rejections, and set the timer for the next deadline."""
        self._answer_overdue(self._loop.time())
        earliest = next((submission for submission in (*self._in_flight, *self._queue) if submission.is_pending), None)
        self._timer = self._loop.call_at(earliest.deadline, self._expire) if earliest else None
        if more := self._rejected - self._rejected_logged:
            logger.warning("%d votes were not stored, because the queue was full or they waited too long", more)
            self._rejected_logged = self._rejected

    def _log_failure(self, error: BaseException) -> None:
        """Log why ballots weren't stored, unless it is the same reason as the last time."""
        cause = error.__cause__ or error
        fallback = "no answer in time" if isinstance(cause, TimeoutError) else type(cause).__name__
        reason = " ".join(str(cause).split()) or fallback
        if reason != self._last_failure:
            expected = isinstance(error, VoteNotStored | TimeoutError)
            logger.log(
                logging.WARNING if expected else logging.ERROR,
                "votes can't be stored: %s",
                reason,
                exc_info=None if expected else error,
            )
        self._last_failure = reason

    def _log_recovery(self) -> None:
        if self._last_failure:
            logger.info("votes are stored again")
        self._last_failure = ""
