"""Polls in memory, as they stand: kept true by what the database tells, and not trusted when it tells nothing."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from contextvars import Context
from datetime import datetime
from itertools import islice
from typing import Any

from polls.domain.errors import PollNotFound, PollsUnavailable
from polls.domain.events import CacheInvalidated, ClockSync, Event, ListenerLost, PollChanged
from polls.domain.poll import Poll, Question
from polls.live.broadcast import DONE, RESTORED, Broadcaster, Watcher
from polls.live.clock import DatabaseClock
from polls.live.list_cache import Latest, NextPublication, PollListCache

logger = logging.getLogger(__name__)

BRIEFLY = 0.3  # seconds for which a promised revision is waited for, until the database is asked
QUESTION_PAUSE = 1  # seconds between two such questions about a poll
_MOST_READINGS = 5  # of a poll that is edited all the time, until one must do
_RETRY = 0.2  # seconds until a poll that is watched, and couldn't be read, is read again

Find = Callable[[int], Awaitable[Poll | None]]


class PollCache:
    """Polls and lists of polls, read on first use and then kept true by the news; `most` polls at a time.

    `find` reads a poll, published or not; `latest` reads a list of those that are published, and `next_publication`
    when there will be one more. While no news come, each request reads. Whoever watches a poll is told of it through
    `audience`; polls that are watched are kept beyond `most`.
    """

    def __init__(
        self, find: Find, latest: Latest, next_publication: NextPublication, audience: Broadcaster, *, most: int
    ) -> None:
        self._find = find
        self._clock = DatabaseClock()
        self._lists = PollListCache(latest, next_publication, self._clock, lambda: self.is_synced)
        self._audience = audience
        self._most = most
        self._polls: OrderedDict[int, CacheEntry] = OrderedDict()  # what was asked for longest ago comes first
        self._told = asyncio.Event()
        self.generation = 0  # how often the news have begun anew: revisions rise from one beginning to the next only
        self._doubted = asyncio.Event()

    def open(self, events: AsyncGenerator[Event, None]) -> None:
        """Begin to follow the news."""
        self._loop = asyncio.get_running_loop()
        self._tasks = [
            self._loop.create_task(self._follow(events), name="follower of the database's news"),
            self._loop.create_task(self._keep_watched_true(), name="reader of polls that are watched"),
        ]

    async def close(self) -> None:
        """Follow no longer, and forget everything."""
        tasks: list[asyncio.Task[Any]] = [*self._tasks, *self._lists.readings]
        self._lists.forget()
        for entry in self._polls.values():
            if entry.alarm:
                entry.alarm.cancel()
            tasks += [task for task in (entry.reading, entry.question) if task]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    @property
    def is_synced(self) -> bool:
        """Whether the news come. While they don't, each request reads."""
        return self._told.is_set()

    async def wait_until_synced(self) -> None:
        """Return when the news come."""
        await self._told.wait()

    async def watch(self, question_id: int, watcher: Watcher) -> None:
        """Let `watcher` see how a poll stands, now and at each change. Raises PollNotFound, PollsUnavailable."""
        poll = await self.find(question_id)
        await self._audience.join(poll, watcher)
        self._schedule_refresh(question_id)

    async def find(self, question_id: int, *, after: int = 0) -> Poll:
        """A poll as it stands, and not before its revision `after`, if there is one.

        As long as nothing changes, it is the same object. Raises PollNotFound, PollsUnavailable.
        """
        entry = self._polls.get(question_id)
        if entry is not None and entry.is_fresh:
            self._polls.move_to_end(question_id)
            poll = entry.poll
        else:
            poll = await self._read(question_id)
            # It may have moved on since it was read, while we were waiting for our turn.
            entry = self._polls.get(question_id)
            if poll and entry and entry.is_fresh:
                poll = entry.poll
        if poll is not None and poll.revision < after:
            poll = await self._catch_up(question_id, after)
        if poll is None:
            raise PollNotFound(question_id)
        return poll

    def last_known(self, question_id: int) -> Poll | None:
        """A poll as it was when it was known last."""
        entry = self._polls.get(question_id)
        return entry.poll if entry else None

    async def latest(self, *, skip: int, limit: int) -> Sequence[Question]:
        """Published questions, newest first, the same object as long as nothing changes. Raises PollsUnavailable."""
        return await self._lists.find(skip=skip, limit=limit)

    # The news

    async def _follow(self, events: AsyncGenerator[Event, None]) -> None:
        try:
            async with aclosing(events):
                async for event in events:
                    self._handle(event)
        except Exception:
            logger.exception("the database's news can't be followed any more, so pages are read from it each time")
        finally:
            self._handle(ListenerLost())

    def _handle(self, event: Event) -> None:
        match event:
            case PollChanged():
                self._apply_change(event)
            case ClockSync(now, seconds):
                self._set_clock(now, seconds)
            case CacheInvalidated():
                self.generation += 1
                self._invalidate_all()
                self._told.set()
                self._doubted.set()
            case ListenerLost():
                self._told.clear()
                self._invalidate_all()

    def _apply_change(self, change: PollChanged) -> None:
        if change.votes is None:
            self._lists.forget()
        entry = self._polls.get(change.question_id)
        if entry:
            self._apply(entry, change)
        self._schedule_refresh(change.question_id)

    def _apply(self, entry: "CacheEntry", change: PollChanged) -> None:
        if change.revision is None:
            entry.invalidate()
            self._drop(change.question_id, entry, "this poll was deleted")
        elif change.votes is None:
            if not (entry.is_fresh and entry.poll and change.revision <= entry.poll.revision):
                entry.invalidate()
        elif entry.reading:
            entry.count = change
        elif entry.poll and entry.is_fresh:
            poll = _counted(entry.poll, change)
            if poll is None:
                entry.invalidate()
            elif poll is not entry.poll:
                self._publish(entry, poll)

    def _schedule_refresh(self, question_id: int) -> None:
        """See to it that a poll is read again, if it is watched and may have changed."""
        entry = self._polls.get(question_id)
        if (entry is None or not entry.is_fresh) and question_id in self._audience:
            self._doubted.set()

    def _invalidate_all(self) -> None:
        self._lists.forget()
        for entry in self._polls.values():
            entry.invalidate()

    async def _keep_watched_true(self) -> None:
        """Read again what is watched and may have changed. What nobody watches is read when it is asked for."""
        while True:
            await self._doubted.wait()
            self._doubted.clear()
            for question_id in self._audience.watched:
                entry = self._polls.get(question_id)
                if self.is_synced and (entry is None or not entry.is_fresh):
                    try:
                        await self._read(question_id)
                    except Exception as error:  # whatever it is, the others have to be read, too
                        if not isinstance(error, PollsUnavailable):
                            logger.exception("poll %d, which is watched, can't be read", question_id)
                        self._doubted.set()
                        await asyncio.sleep(_RETRY)

    # Polls

    async def _read(self, question_id: int) -> Poll | None:
        """Read a poll; those who want it at the same time wait for one reading. Raises PollsUnavailable."""
        entry = self._polls.get(question_id)
        if entry is None:
            entry = self._polls[question_id] = CacheEntry()
        if entry.reading is None:
            entry.reading = self._loop.create_task(self._read_until_true(question_id, entry), context=Context())
            entry.reading.add_done_callback(retrieve_exception)
        return await asyncio.shield(entry.reading)

    async def _read_until_true(self, question_id: int, entry: "CacheEntry") -> Poll | None:
        """Read a poll, again if it is changed meanwhile, and take it to memory."""
        try:
            for _ in range(_MOST_READINGS):
                entry.count = None
                before = entry.doubts, self.generation
                poll = await self._find(question_id)
                if before == (entry.doubts, self.generation):
                    entry.is_fresh = self.is_synced
                    break
        finally:
            entry.reading = None
            if not entry.is_fresh:
                if entry.poll is None:
                    self._polls.pop(question_id, None)
                self._schedule_refresh(question_id)
        if poll is None:
            self._drop(question_id, entry, "this poll was deleted")
            return None
        if entry.count:
            counted = _counted(poll, entry.count)
            entry.is_fresh = entry.is_fresh and counted is not None
            poll = counted or poll
        known = entry.poll
        if known and known.revision > poll.revision and entry.beginning == self.generation:
            return known
        # A standby that has taken over may lack what was known here, and have come to the same revision in another way.
        if known and known.revision >= poll.revision and known != poll and entry.beginning != self.generation:
            self._audience.dismiss(question_id, RESTORED, "this poll was restored to an earlier state")
        entry.beginning = self.generation
        self._polls[question_id] = entry
        self._polls.move_to_end(question_id)
        self._publish(entry, poll)
        self._make_room()
        return poll

    async def _catch_up(self, question_id: int, revision: int) -> Poll | None:
        """Wait until memory has come to `revision`; where it doesn't, ask the database, which is done seldom."""
        entry = self._polls.get(question_id)
        if entry is None:
            return await self._read(question_id)
        arrived: asyncio.Future[None] = self._loop.create_future()
        entry.waiting[arrived] = revision
        try:
            async with asyncio.timeout(BRIEFLY):
                await arrived
        except TimeoutError:
            if entry.question is None:
                entry.question = self._loop.create_task(self._ask(question_id, entry), context=Context())
                entry.question.add_done_callback(retrieve_exception)
            return await asyncio.shield(entry.question)
        finally:
            del entry.waiting[arrived]
        return entry.poll

    async def _ask(self, question_id: int, entry: "CacheEntry") -> Poll | None:
        """Read a poll that may be newer than we know, once for all who have asked until then."""
        await asyncio.sleep(entry.asked + QUESTION_PAUSE - self._loop.time())
        entry.asked = self._loop.time()
        entry.question = None
        entry.invalidate()
        return await self._read(question_id)

    def _publish(self, entry: "CacheEntry", poll: Poll) -> None:
        """Take a newer state of a poll to memory, and show it to all who wait for it."""
        entry.poll = poll
        self._set_timer(entry)
        for arrived, revision in entry.waiting.items():
            if revision <= poll.revision and not arrived.done():
                arrived.set_result(None)
        self._audience.show(poll)

    def _drop(self, question_id: int, entry: "CacheEntry", reason: str) -> None:
        """A poll is not there any more."""
        entry.poll = None
        self._set_timer(entry)
        self._audience.dismiss(question_id, DONE, reason)
        if entry.reading is None:
            self._polls.pop(question_id, None)

    def _make_room(self) -> None:
        """Forget those that were asked for longest ago, if there are too many."""
        excess = len(self._polls) - self._most
        if excess > 0:
            idle = (question_id for question_id in self._polls if self._is_idle(question_id))
            for question_id in list(islice(idle, excess)):
                entry = self._polls.pop(question_id)
                entry.poll = None
                self._set_timer(entry)

    def _is_idle(self, question_id: int) -> bool:
        """Whether nobody watches a poll or waits for it."""
        entry = self._polls[question_id]
        in_use = entry.reading or entry.question or entry.waiting
        return not in_use and question_id not in self._audience

    # Time

    def _set_clock(self, now: datetime, seconds: float) -> None:
        """Learn what time it was during the last `seconds`. Where that is a surprise, all alarms are set anew."""
        if self._clock.set(now, seconds):
            self._lists.forget()
            for entry in self._polls.values():
                entry.moment = None
                self._set_timer(entry)

    def _set_timer(self, entry: "CacheEntry") -> None:
        """Have a poll looked after at the moment when time will change it."""
        moment = entry.poll.next_moment if entry.poll else None
        if moment == entry.moment:
            return
        if entry.alarm:
            entry.alarm.cancel()
        entry.moment = moment
        entry.alarm = self._clock.call_at(moment, lambda: self._pass(entry)) if moment else None

    def _pass(self, entry: "CacheEntry") -> None:
        """The moment has come: the poll is published, or closed."""
        entry.moment = None
        if entry.poll and entry.is_fresh:
            self._publish(entry, entry.poll.at(self._clock.now()))


class CacheEntry:
    """A poll in memory.

    `is_fresh` as long as each change since it was read was told in full; `doubts` counts what wasn't, and `beginning`
    tells of which beginning of the news its revision is. `count` is the newest that was told while it was being read.
    `waiting` are those who wait for a revision, `question` who asks the database for it, and `asked` when that was done
    last. `alarm` rings at `moment`, when time will change it.
    """

    __slots__ = (
        "alarm",
        "asked",
        "beginning",
        "count",
        "doubts",
        "is_fresh",
        "moment",
        "poll",
        "question",
        "reading",
        "waiting",
    )

    def __init__(self) -> None:
        self.poll: Poll | None = None
        self.is_fresh = False
        self.doubts = 0
        self.beginning = 0
        self.reading: asyncio.Task[Poll | None] | None = None
        self.count: PollChanged | None = None
        self.waiting: dict[asyncio.Future[None], int] = {}
        self.question: asyncio.Task[Poll | None] | None = None
        self.asked = float("-inf")
        self.moment: datetime | None = None
        self.alarm: asyncio.TimerHandle | None = None

    def invalidate(self) -> None:
        """It may have changed."""
        self.is_fresh = False
        self.doubts += 1


def _counted(poll: Poll, change: PollChanged) -> Poll | None:
    """The poll with the counts of a notice, or as it is where it is newer; None where more than counts has changed."""
    if change.revision is None or change.votes is None:
        return None
    if change.revision <= poll.revision:
        return poll
    if change.edition != poll.edition or not poll.offers(*change.votes) or len(change.votes) != len(poll.choices):
        return None
    return poll.counted(change.revision, change.ballots or 0, change.votes)


def retrieve_exception(task: asyncio.Task[Any]) -> None:
    """Look at how a task ended, so that nobody complains when all who waited for it have gone."""
    if not task.cancelled():
        task.exception()
