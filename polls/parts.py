"""The long-running parts of the application; each function is a context manager that opens and closes one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial

from aiohttp import web

from polls.live.ballot_box import BallotBox
from polls.live.broadcast import GOING_AWAY
from polls.live.poll_cache import PollCache
from polls.live.score_cache import ScoreCache
from polls.live.slug_cache import SlugCache
from polls.storage import poll_list, questions, scores
from polls.storage.ballots import open_recorder
from polls.storage.listener import listen
from polls.web.http.slow_readers import SLOW_READERS
from polls.web.keys import BALLOT_BOX, BROADCASTER, CONFIG, DATABASE, POLL_CACHE, SCORE_CACHE, SLUG_CACHE
from polls.web.ops.meter import METER

_SYNC_TIMEOUT = 2  # seconds that the start waits for the database's notifications
_OPEN_PARTS = web.AppKey("open_parts", AsyncExitStack)


async def open_parts(app: web.Application) -> None:
    """Open the parts, one after the other. Raises UnusableDatabase."""
    app[_OPEN_PARTS] = AsyncExitStack()
    for part in (ballot_box, poll_cache, score_cache, slow_readers):
        await app[_OPEN_PARTS].enter_async_context(part(app))


async def close_parts(app: web.Application) -> None:
    """Close the parts that are open, in reverse order."""
    if parts := app.get(_OPEN_PARTS):
        await parts.aclose()


async def close_websockets(app: web.Application) -> None:
    """Close all WebSockets; their pages reconnect to another process."""
    await app[BROADCASTER].close(GOING_AWAY, "this server is stopping")


@asynccontextmanager
async def ballot_box(app: web.Application) -> AsyncIterator[None]:
    """Store ballots over a connection of its own; at the end, store those in the queue. Raises UnusableDatabase."""
    votes, meter = app[CONFIG].votes, app.get(METER)
    recorder = await open_recorder(app[CONFIG].postgres, app[DATABASE])
    try:
        record = meter.count_batches(recorder.record) if meter else recorder.record
        app[BALLOT_BOX] = BallotBox(record, queue_size=votes.queue_size, timeout=votes.timeout)
        app[BALLOT_BOX].open()
        yield
        await app[BALLOT_BOX].close()
    finally:
        recorder.close()


@asynccontextmanager
async def poll_cache(app: web.Application) -> AsyncIterator[None]:
    """Cache polls, and listen for their changes over a connection of its own."""
    database, meter = app[DATABASE], app.get(METER)
    app[POLL_CACHE] = PollCache(
        partial(questions.find, database),
        partial(poll_list.read, database),
        partial(poll_list.next_transition, database),
        app[BROADCASTER],
        max_polls=app[CONFIG].cache.polls,
    )
    app[SLUG_CACHE] = SlugCache(partial(questions.find_id, database), max_slugs=app[CONFIG].cache.polls)
    events = listen(database)
    app[POLL_CACHE].open(meter.count_events(events) if meter else events)
    try:
        # Without notifications pages are read from the database; the listener logs why it has none.
        with suppress(TimeoutError):
            async with asyncio.timeout(_SYNC_TIMEOUT):
                await app[POLL_CACHE].wait_until_synced()
        yield
    finally:
        await app[POLL_CACHE].close()


@asynccontextmanager
async def score_cache(app: web.Application) -> AsyncIterator[None]:
    """Cache counts of scores, read when results are requested."""
    app[SCORE_CACHE] = ScoreCache(
        partial(scores.count, app[DATABASE]),
        lambda: app[POLL_CACHE].generation,
        max_polls=app[CONFIG].cache.polls,
    )
    yield
    await app[SCORE_CACHE].close()


@asynccontextmanager
async def slow_readers(app: web.Application) -> AsyncIterator[None]:
    """Close connections whose clients don't read their responses."""
    app[SLOW_READERS].open()
    yield
    app[SLOW_READERS].close()
