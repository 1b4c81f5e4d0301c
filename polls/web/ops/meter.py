"""Counters of this process; `polls.web.ops.metrics` converts them for Prometheus."""

import asyncio
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from time import monotonic

from aiohttp import web
from aiohttp.typedefs import Handler

from polls.domain.ballot import Ballot, Counted
from polls.domain.errors import VoteNotStored, VotingBroken
from polls.domain.events import CacheInvalidated, ClockSync, Event, PollChanged
from polls.storage.ballots import Outcome

_SECONDS_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_BALLOTS_BOUNDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_MAX_POLLS = 1000  # whose commits are matched with their notifications

Record = Callable[[Sequence[Ballot], float], Awaitable[Sequence[Outcome]]]


class Histogram:
    """The number of values up to each of `bounds` (but above the previous one), and their sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)  # the last one counts values above all bounds
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class Meter:
    """Counters of requests, batches of ballots, and events from the database.

    `responses`: by route name and class of status (2 for 200 to 299); `response_seconds`: by route name.
    `outcomes`: ballots by the type of their outcome.
    `batches`: ballots in each transaction; `batch_seconds`: how long these took.
    `heartbeats`: round-trip seconds on the listener's connection.
    `lags`: seconds from the end of one of our commits to the arrival of its notification.
    """

    def __init__(self) -> None:
        self.responses: Counter[tuple[str, int]] = Counter()
        self.response_seconds: defaultdict[str, Histogram] = defaultdict(lambda: Histogram(_SECONDS_BOUNDS))
        self.outcomes: Counter[type] = Counter()
        self.batches = Histogram(_BALLOTS_BOUNDS)
        self.batch_seconds = Histogram(_SECONDS_BOUNDS)
        self.heartbeats = Histogram(_SECONDS_BOUNDS)
        self.lags = Histogram(_SECONDS_BOUNDS)
        self._notified: dict[int, int] = {}  # {poll id: the last revision that a notification named}
        self._committed: dict[int, tuple[int, float]] = {}  # {poll id: (our revision not yet notified, when)}

    @web.middleware
    async def count_requests(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count a request, and the time until its response can be sent."""
        start = monotonic()
        try:
            response = await handler(request)
        except web.HTTPException as raised:
            self._count_response(request, raised.status, start)
            raise
        self._count_response(request, response.status, start)
        return response

    def _count_response(self, request: web.Request, status: int, start: float) -> None:
        name = request.match_info.route.name or "none"
        self.responses[name, status // 100] += 1
        seconds = self.response_seconds[name]
        if status >= 200:  # 101: the time is how long the WebSocket was open
            seconds.add(monotonic() - start)

    def count_batches(self, record: Record) -> Record:
        """Return a function that calls `record` and counts its ballots, outcomes and time."""

        async def counted(ballots: Sequence[Ballot], seconds: float) -> Sequence[Outcome]:
            start = monotonic()
            self.batches.add(len(ballots))
            try:
                outcomes = await record(ballots, seconds)
            except BaseException as error:
                self.outcomes[VotingBroken if isinstance(error, VotingBroken) else VoteNotStored] += len(ballots)
                raise
            finally:
                self.batch_seconds.add(monotonic() - start)
            self.outcomes.update(map(type, outcomes))
            self._note_commits(ballots, outcomes)
            return outcomes

        return counted

    def _note_commits(self, ballots: Sequence[Ballot], outcomes: Sequence[Outcome]) -> None:
        """Note the new revisions of a batch; a notification that has arrived before the commit's end has no lag."""
        revisions = {
            ballot.question_id: outcome.revision
            for ballot, outcome in zip(ballots, outcomes, strict=True)
            if isinstance(outcome, Counted)
        }
        if len(self._committed) > _MAX_POLLS:
            self._committed.clear()
        now = asyncio.get_running_loop().time()
        for question_id, revision in revisions.items():
            if self._notified.get(question_id, -1) >= revision:
                self.lags.add(0)
            else:
                self._committed.setdefault(question_id, (revision, now))

    async def count_events(self, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        """Yield `events` and count heartbeats and lags."""
        async with aclosing(events):
            async for event in events:
                match event:
                    case PollChanged(question_id, int(revision)):
                        self._note_notification(question_id, revision)
                    case ClockSync(_, seconds):
                        self.heartbeats.add(seconds)
                    case CacheInvalidated():  # revisions may have restarted
                        self._notified.clear()
                        self._committed.clear()
                yield event

    def _note_notification(self, question_id: int, revision: int) -> None:
        if len(self._notified) > _MAX_POLLS:
            self._notified.clear()
        self._notified[question_id] = revision
        committed = self._committed.get(question_id)
        if committed and committed[0] <= revision:
            del self._committed[question_id]
            self.lags.add(asyncio.get_running_loop().time() - committed[1])


METER = web.AppKey("meter", Meter)
