"""What this process has done, in plain numbers. `polls.web.ops.metrics` makes metrics of them when somebody asks."""

import asyncio
from bisect import bisect_left
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from time import monotonic

from aiohttp import web
from aiohttp.typedefs import Handler

from polls.domain.ballot import Ballot
from polls.domain.errors import VoteNotStored
from polls.domain.events import CacheInvalidated, ClockSync, Event, PollChanged
from polls.storage.ballots import Outcome

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_BALLOTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_MOST_POLLS = 1000  # whose commits are compared with their notices

Record = Callable[[Sequence[Ballot], float], Awaitable[Sequence[Outcome]]]


class Distribution:
    """How many values there were up to each of `bounds` but not to the one before it, and their sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)  # the last one is of those beyond all bounds
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class Answers:
    """Those of one route: how many of each class (200 to 299 are class 2), and the seconds that they took."""

    __slots__ = ("classes", "seconds")

    def __init__(self) -> None:
        self.classes = [0] * 6
        self.seconds = Distribution(_SECONDS)


class Meter:
    """Counts what passes: requests, batches of ballots, what the database tells.

    `answers` are by the name of the route, `outcomes` of ballots by their type. `batches` are by their ballots, and
    `batch_seconds` tell how long their transactions took. `heartbeats` are the seconds of a question and its answer on
    the connection that hears notices; `lags` the seconds from the answer to a commit of ours to the notice of it.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Answers] = {}
        self.outcomes: Counter[type] = Counter()
        self.batches = Distribution(_BALLOTS)
        self.batch_seconds = Distribution(_SECONDS)
        self.heartbeats = Distribution(_SECONDS)
        self.lags = Distribution(_SECONDS)
        self._heard: dict[int, int] = {}  # {poll: the last revision that was told}
        self._committed: dict[int, tuple[int, float]] = {}  # {poll: a revision of ours that was not told yet, when}

    @web.middleware
    async def requests(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count a request, and the time until its answer is ready to be sent."""
        begun = monotonic()
        try:
            response = await handler(request)
        except web.HTTPException as raised:
            self._count(request, raised.status, begun)
            raise
        self._count(request, response.status, begun)
        return response

    def recording(self, record: Record) -> Record:
        """`record`, counted."""

        async def recorded(ballots: Sequence[Ballot], seconds: float) -> Sequence[Outcome]:
            begun = monotonic()
            self.batches.add(len(ballots))
            try:
                outcomes = await record(ballots, seconds)
            except BaseException:
                self.outcomes[VoteNotStored] += len(ballots)
                raise
            finally:
                self.batch_seconds.add(monotonic() - begun)
            self.outcomes.update(map(type, outcomes))
            self._note_commits(ballots, outcomes)
            return outcomes

        return recorded

    async def hearing(self, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        """`events`, counted."""
        async with aclosing(events):
            async for event in events:
                match event:
                    case PollChanged(question_id, int(revision)):
                        self._note_notice(question_id, revision)
                    case ClockSync(_, seconds):
                        self.heartbeats.add(seconds)
                    case CacheInvalidated():  # revisions may have begun anew
                        self._heard.clear()
                        self._committed.clear()
                yield event

    def _count(self, request: web.Request, status: int, begun: float) -> None:
        name = request.match_info.route.name or "none"
        answers = self.answers.get(name)
        if answers is None:
            answers = self.answers[name] = Answers()
        answers.classes[status // 100] += 1
        if status >= 200:  # a WebSocket is no answer that somebody waits for
            answers.seconds.add(monotonic() - begun)

    def _note_commits(self, ballots: Sequence[Ballot], outcomes: Sequence[Outcome]) -> None:
        """Compare what a batch has changed with what was told of it, or is going to be."""
        revisions = {
            ballot.question_id: outcome
            for ballot, outcome in zip(ballots, outcomes, strict=True)
            if isinstance(outcome, int)
        }
        if len(self._committed) > _MOST_POLLS:
            self._committed.clear()
        now = asyncio.get_running_loop().time()
        for question_id, revision in revisions.items():
            if self._heard.get(question_id, -1) >= revision:
                self.lags.add(0)
            else:
                self._committed.setdefault(question_id, (revision, now))

    def _note_notice(self, question_id: int, revision: int) -> None:
        if len(self._heard) > _MOST_POLLS:
            self._heard.clear()
        self._heard[question_id] = revision
        ours = self._committed.get(question_id)
        if ours and ours[0] <= revision:
            del self._committed[question_id]
            self.lags.add(asyncio.get_running_loop().time() - ours[1])


METER = web.AppKey("meter", Meter)
