"""The cache of score counts, read from the ballots when results are requested."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from polls.aio import SingleFlight
from polls.domain.distribution import ScoreCounts
from polls.domain.errors import PollsUnavailable
from polls.domain.poll import Poll

_PAUSE = 10  # times as long as a read took, until the next one: reads use at most a tenth of the time


class ScoredPoll(NamedTuple):
    """A poll with the counts of its scores, which may be older or newer; None if they aren't known."""

    poll: Poll
    counts: ScoreCounts | None


@dataclass(slots=True, eq=False)
class _Entry:
    """The latest counts of a poll, read in the poll cache's `generation`; `scored` has them with its latest state.

    `took` is how many seconds the last read took, `next_read` the loop's time from which there may be another.
    """

    reading: SingleFlight[None] = field(default_factory=SingleFlight)
    counts: ScoreCounts | None = None
    generation: int = -1
    scored: ScoredPoll | None = None
    took: float = 0
    next_read: float = float("-inf")


class ScoreCache:
    """Counts of the scores of at most `max_polls` polls, read with `read` when results are requested.

    One poll is read at a time, and each at most once every `interval` seconds. Callers wait `max_wait` seconds for a
    read, or not at all if the last one took longer: they get the former counts. `generation` returns that of the poll
    cache.
    """

    def __init__(
        self,
        read: Callable[[int], Awaitable[ScoreCounts | None]],
        generation: Callable[[], int],
        *,
        max_polls: int,
        interval: float = 1,
        max_wait: float = 0.3,
    ) -> None:
        self._read = read
        self._generation = generation
        self._max_polls = max_polls
        self._interval = interval
        self._max_wait = max_wait
        self._entries: OrderedDict[int, _Entry] = OrderedDict()  # least recently used first
        self._read_slot = asyncio.Semaphore(1)

    async def find(self, poll: Poll) -> ScoredPoll:
        """Return a poll with its counts: the same object while neither has changed."""
        entry = self._entry_of(poll.question.id)
        counts = entry.counts
        is_current = counts is not None and counts.revision == poll.revision and entry.generation == self._generation()
        if not is_current and asyncio.get_running_loop().time() >= entry.next_read:
            await self._refresh(poll.question.id, entry)
            counts = entry.counts
        if counts and counts.edition != poll.edition:  # its choices or its highest score may be others
            counts = None
        scored = entry.scored
        if scored is None or scored.poll is not poll or scored.counts is not counts:
            scored = entry.scored = ScoredPoll(poll, counts)
        return scored

    async def close(self) -> None:
        """Cancel the reads."""
        await asyncio.gather(*(entry.reading.cancel() for entry in self._entries.values()))

    def _entry_of(self, question_id: int) -> _Entry:
        entry = self._entries.get(question_id)
        if entry is None:
            entry = self._entries[question_id] = _Entry()
            if len(self._entries) > self._max_polls:
                self._entries.popitem(last=False)
        else:
            self._entries.move_to_end(question_id)
        return entry

    async def _refresh(self, question_id: int, entry: _Entry) -> None:
        """Start to read the counts, and wait for them if that won't take long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._max_wait if entry.took < self._max_wait else 0):
                await entry.reading.run(partial(self._read_into, question_id, entry))

    async def _read_into(self, question_id: int, entry: _Entry) -> None:
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        async with self._read_slot:
            began_at = loop.time()
            generation = self._generation()
            try:
                entry.counts = await self._read(question_id)
                entry.generation = generation
            except PollsUnavailable:
                pass  # the former counts are shown, with their time
            finally:
                ended_at = loop.time()
                entry.took = ended_at - asked_at
                entry.next_read = began_at + max(self._interval, _PAUSE * (ended_at - began_at))
