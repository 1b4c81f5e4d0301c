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
from polls.domain.events import AllMayHaveChanged, News, Notice, Silence, Time
from polls.domain.poll import Poll, Question
from polls.live.broadcast import DONE, RESTORED, Audience, Watcher
from polls.live.clock import DatabaseClock
from polls.live.list_cache import Latest, Lists, NextPublication

logger = logging.getLogger(__name__)

BRIEFLY = 0.3  # seconds for which a promised revision is waited for, until the database is asked
QUESTION_PAUSE = 1  # seconds between two such questions about a poll
_MOST_READINGS = 5  # of a poll that is edited all the time, until one must do
_RETRY = 0.2  # seconds until a poll that is watched, and couldn't be read, is read again

Find = Callable[[int], Awaitable[Poll | None]]


class Standings:
    """Polls and lists of polls, read on first use and then kept true by the news; `most` polls at a time.

    `find` reads a poll, published or not; `latest` reads a list of those that are published, and `next_publication`
    when there will be one more. While no news come, each request reads. Whoever watches a poll is told of it through
    `audience`; polls that are watched are kept beyond `most`.
    """

    def __init__(
        self, find: Find, latest: Latest, next_publication: NextPublication, audience: Audience, *, most: int
    ) -> None:
        self._find = find
        self._clock = DatabaseClock()
        self._lists = Lists(latest, next_publication, self._clock, lambda: self.is_trusted)
        self._audience = audience
        self._most = most
        self._polls: OrderedDict[int, _Remembered] = OrderedDict()  # what was asked for longest ago comes first
        self._told = asyncio.Event()
        self._beginning = 0  # how often the news have begun anew: revisions rise from one beginning to the next only
        self._doubted = asyncio.Event()

    def open(self, news: AsyncGenerator[News, None]) -> None:
        """Begin to follow the news."""
        self._loop = asyncio.get_running_loop()
        self._tasks = [
            self._loop.create_task(self._follow(news), name="follower of the database's news"),
            self._loop.create_task(self._keep_watched_true(), name="reader of polls that are watched"),
        ]

    async def close(self) -> None:
        """Follow no longer, and forget everything."""
        tasks: list[asyncio.Task[Any]] = [*self._tasks, *self._lists.readings]
        self._lists.forget()
        for standing in self._polls.values():
            if standing.alarm:
                standing.alarm.cancel()
            tasks += [task for task in (standing.reading, standing.question) if task]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    @property
    def is_trusted(self) -> bool:
        """Whether the news come. While they don't, each request reads."""
        return self._told.is_set()

    async def wait_until_trusted(self) -> None:
        """Return when the news come."""
        await self._told.wait()

    async def watch(self, question_id: int, watcher: Watcher) -> None:
        """Let `watcher` see how a poll stands, now and at each change. Raises PollNotFound, PollsUnavailable."""
        poll = await self.find(question_id)
        await self._audience.join(poll, watcher)
        self._look_after(question_id)

    async def find(self, question_id: int, *, after: int = 0) -> Poll:
        """A poll as it stands, and not before its revision `after`, if there is one.

        As long as nothing changes, it is the same object. Raises PollNotFound, PollsUnavailable.
        """
        standing = self._polls.get(question_id)
        if standing is not None and standing.is_true:
            self._polls.move_to_end(question_id)
            poll = standing.poll
        else:
            poll = await self._read(question_id)
            # It may have moved on since it was read, while we were waiting for our turn.
            standing = self._polls.get(question_id)
            if poll and standing and standing.is_true:
                poll = standing.poll
        if poll is not None and poll.revision < after:
            poll = await self._catch_up(question_id, after)
        if poll is None:
            raise PollNotFound(question_id)
        return poll

    def remembered(self, question_id: int) -> Poll | None:
        """A poll as it was when it was known last."""
        standing = self._polls.get(question_id)
        return standing.poll if standing else None

    async def latest(self, *, skip: int, limit: int) -> Sequence[Question]:
        """Published questions, newest first, the same object as long as nothing changes. Raises PollsUnavailable."""
        return await self._lists.find(skip=skip, limit=limit)

    # The news

    async def _follow(self, news: AsyncGenerator[News, None]) -> None:
        try:
            async with aclosing(news):
                async for piece in news:
                    self._take_in(piece)
        except Exception:
            logger.exception("the database's news can't be followed any more, so pages are read from it each time")
        finally:
            self._take_in(Silence())

    def _take_in(self, piece: News) -> None:
        match piece:
            case Notice():
                self._hear(piece)
            case Time(now, seconds):
                self._set_clock(now, seconds)
            case AllMayHaveChanged():
                self._beginning += 1
                self._doubt_all()
                self._told.set()
                self._doubted.set()
            case Silence():
                self._told.clear()
                self._doubt_all()

    def _hear(self, notice: Notice) -> None:
        if notice.votes is None:
            self._lists.forget()
        standing = self._polls.get(notice.question_id)
        if standing:
            self._hear_of(standing, notice)
        self._look_after(notice.question_id)

    def _hear_of(self, standing: "_Remembered", notice: Notice) -> None:
        if notice.revision is None:
            standing.doubt()
            self._lose(notice.question_id, standing, "this poll was deleted")
        elif notice.votes is None:
            if not (standing.is_true and standing.poll and notice.revision <= standing.poll.revision):
                standing.doubt()
        elif standing.reading:
            standing.count = notice
        elif standing.poll and standing.is_true:
            poll = _counted(standing.poll, notice)
            if poll is None:
                standing.doubt()
            elif poll is not standing.poll:
                self._show(standing, poll)

    def _look_after(self, question_id: int) -> None:
        """See to it that a poll is read again, if it is watched and may have changed."""
        standing = self._polls.get(question_id)
        if (standing is None or not standing.is_true) and question_id in self._audience:
            self._doubted.set()

    def _doubt_all(self) -> None:
        self._lists.forget()
        for standing in self._polls.values():
            standing.doubt()

    async def _keep_watched_true(self) -> None:
        """Read again what is watched and may have changed. What nobody watches is read when it is asked for."""
        while True:
            await self._doubted.wait()
            self._doubted.clear()
            for question_id in self._audience.watched:
                standing = self._polls.get(question_id)
                if self.is_trusted and (standing is None or not standing.is_true):
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
        standing = self._polls.get(question_id)
        if standing is None:
            standing = self._polls[question_id] = _Remembered()
        if standing.reading is None:
            standing.reading = self._loop.create_task(self._read_until_true(question_id, standing), context=Context())
            standing.reading.add_done_callback(_retrieve)
        return await asyncio.shield(standing.reading)

    async def _read_until_true(self, question_id: int, standing: "_Remembered") -> Poll | None:
        """Read a poll, again if it is changed meanwhile, and take it to memory."""
        try:
            for _ in range(_MOST_READINGS):
                standing.count = None
                before = standing.doubts, self._beginning
                poll = await self._find(question_id)
                if before == (standing.doubts, self._beginning):
                    standing.is_true = self.is_trusted
                    break
        finally:
            standing.reading = None
            if not standing.is_true:
                if standing.poll is None:
                    self._polls.pop(question_id, None)
                self._look_after(question_id)
        if poll is None:
            self._lose(question_id, standing, "this poll was deleted")
            return None
        if standing.count:
            counted = _counted(poll, standing.count)
            standing.is_true = standing.is_true and counted is not None
            poll = counted or poll
        known = standing.poll
        if known and known.revision > poll.revision and standing.beginning == self._beginning:
            return known
        # A standby that has taken over may lack what was known here, and have come to the same revision in another way.
        if known and known.revision >= poll.revision and known != poll and standing.beginning != self._beginning:
            self._audience.dismiss(question_id, RESTORED, "this poll was restored to an earlier state")
        standing.beginning = self._beginning
        self._polls[question_id] = standing
        self._polls.move_to_end(question_id)
        self._show(standing, poll)
        self._make_room()
        return poll

    async def _catch_up(self, question_id: int, revision: int) -> Poll | None:
        """Wait until memory has come to `revision`; where it doesn't, ask the database, which is done seldom."""
        standing = self._polls.get(question_id)
        if standing is None:
            return await self._read(question_id)
        arrived: asyncio.Future[None] = self._loop.create_future()
        standing.waiting[arrived] = revision
        try:
            async with asyncio.timeout(BRIEFLY):
                await arrived
        except TimeoutError:
            if standing.question is None:
                standing.question = self._loop.create_task(self._ask(question_id, standing), context=Context())
                standing.question.add_done_callback(_retrieve)
            return await asyncio.shield(standing.question)
        finally:
            del standing.waiting[arrived]
        return standing.poll

    async def _ask(self, question_id: int, standing: "_Remembered") -> Poll | None:
        """Read a poll that may be newer than we know, once for all who have asked until then."""
        await asyncio.sleep(standing.asked + QUESTION_PAUSE - self._loop.time())
        standing.asked = self._loop.time()
        standing.question = None
        standing.doubt()
        return await self._read(question_id)

    def _show(self, standing: "_Remembered", poll: Poll) -> None:
        """Take a newer state of a poll to memory, and show it to all who wait for it."""
        standing.poll = poll
        self._set_alarm(standing)
        for arrived, revision in standing.waiting.items():
            if revision <= poll.revision and not arrived.done():
                arrived.set_result(None)
        self._audience.show(poll)

    def _lose(self, question_id: int, standing: "_Remembered", reason: str) -> None:
        """A poll is not there any more."""
        standing.poll = None
        self._set_alarm(standing)
        self._audience.dismiss(question_id, DONE, reason)
        if standing.reading is None:
            self._polls.pop(question_id, None)

    def _make_room(self) -> None:
        """Forget those that were asked for longest ago, if there are too many."""
        excess = len(self._polls) - self._most
        if excess > 0:
            idle = (question_id for question_id in self._polls if self._is_idle(question_id))
            for question_id in list(islice(idle, excess)):
                standing = self._polls.pop(question_id)
                standing.poll = None
                self._set_alarm(standing)

    def _is_idle(self, question_id: int) -> bool:
        """Whether nobody watches a poll or waits for it."""
        standing = self._polls[question_id]
        in_use = standing.reading or standing.question or standing.waiting
        return not in_use and question_id not in self._audience

    # Time

    def _set_clock(self, now: datetime, seconds: float) -> None:
        """Learn what time it was during the last `seconds`. Where that is a surprise, all alarms are set anew."""
        if self._clock.set(now, seconds):
            self._lists.forget()
            for standing in self._polls.values():
                standing.moment = None
                self._set_alarm(standing)

    def _set_alarm(self, standing: "_Remembered") -> None:
        """Have a poll looked after at the moment when time will change it."""
        moment = standing.poll.next_moment if standing.poll else None
        if moment == standing.moment:
            return
        if standing.alarm:
            standing.alarm.cancel()
        standing.moment = moment
        standing.alarm = self._clock.call_at(moment, lambda: self._pass(standing)) if moment else None

    def _pass(self, standing: "_Remembered") -> None:
        """The moment has come: the poll is published, or closed."""
        standing.moment = None
        if standing.poll and standing.is_true:
            self._show(standing, standing.poll.at(self._clock.now()))


class _Remembered:
    """A poll in memory.

    `is_true` as long as each change since it was read was told in full; `doubts` counts what wasn't, and `beginning`
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
        "is_true",
        "moment",
        "poll",
        "question",
        "reading",
        "waiting",
    )

    def __init__(self) -> None:
        self.poll: Poll | None = None
        self.is_true = False
        self.doubts = 0
        self.beginning = 0
        self.reading: asyncio.Task[Poll | None] | None = None
        self.count: Notice | None = None
        self.waiting: dict[asyncio.Future[None], int] = {}
        self.question: asyncio.Task[Poll | None] | None = None
        self.asked = float("-inf")
        self.moment: datetime | None = None
        self.alarm: asyncio.TimerHandle | None = None

    def doubt(self) -> None:
        """It may have changed."""
        self.is_true = False
        self.doubts += 1


def _counted(poll: Poll, notice: Notice) -> Poll | None:
    """The poll with the counts of a notice, or as it is where it is newer; None where more than counts has changed."""
    if notice.revision is None or notice.votes is None:
        return None
    if notice.revision <= poll.revision:
        return poll
    if notice.edition != poll.edition or not poll.offers(*notice.votes) or len(notice.votes) != len(poll.choices):
        return None
    return poll.counted(notice.revision, notice.ballots or 0, notice.votes)


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Look at how a task ended, so that nobody complains when all who waited for it have gone."""
    if not task.cancelled():
        task.exception()
