"""The connection that listens on PostgreSQL's channel `polls` for committed changes. Payloads: see sql/README.md."""

import asyncio
import json
import logging
import random
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing

import aiopg
import psycopg2
from aiopg.utils import ClosableQueue

from polls.aio import is_cancelled
from polls.domain.events import CacheInvalidated, ClockSync, Event, ListenerLost, PollChanged
from polls.storage.postgres.pool import STATEMENT_TIMEOUT, Database

logger = logging.getLogger(__name__)

HEARTBEAT = 1  # seconds between two queries that check the connection
_MIN_PAUSE, _MAX_PAUSE = 0.1, 2  # seconds before reconnecting

# With the ids of the tables: restoring a dump replaces tables without firing a trigger.
_HEARTBEAT_QUERY = "SELECT clock_timestamp(), 'question'::regclass::oid, 'choice'::regclass::oid"


async def listen(database: Database, *, heartbeat: float = HEARTBEAT) -> AsyncGenerator[Event, None]:
    """Yield events without end, reconnecting to the primary whenever the connection is lost.

    Yields ListenerLost after a failure, and ClockSync and CacheInvalidated when listening has begun. ClockSync is
    repeated every `heartbeat` seconds.
    """
    pause: float = _MIN_PAUSE
    is_listening = True
    while True:
        try:
            async with aclosing(_events_of_one_connection(database, heartbeat)) as events:
                async for event in events:
                    if isinstance(event, CacheInvalidated) and not is_listening:
                        logger.info("listening for changes in the database again; pages are served from the cache")
                        is_listening = True
                    elif is_listening:
                        pause = _MIN_PAUSE
                    yield event
        except (psycopg2.Error, OSError, ValueError, TimeoutError, asyncio.CancelledError) as error:
            # aiopg reports a statement time-out as a CancelledError.
            if isinstance(error, asyncio.CancelledError) and is_cancelled():
                raise
            if is_listening:
                reason = " ".join(str(error).split()) or "PostgreSQL does not answer"
                logger.warning("can't listen for changes in the database; each page is read from it: %s", reason)
            is_listening = False
        yield ListenerLost()
        # Random, so that processes don't reconnect all at once.
        await asyncio.sleep(pause * random.uniform(0.5, 1))  # nosec B311 # not a secret
        pause = min(2 * pause, _MAX_PAUSE)


async def _events_of_one_connection(database: Database, heartbeat: float) -> AsyncGenerator[Event, None]:
    """Yield events until the connection is lost. Raises psycopg2.Error, OSError, ValueError, TimeoutError."""
    loop = asyncio.get_running_loop()
    connection = await database.connect()
    next_notification: asyncio.Task[psycopg2.extensions.Notify] | None = None
    try:
        async with connection.cursor(timeout=STATEMENT_TIMEOUT) as cursor:
            await cursor.execute("LISTEN polls")
        notifications = connection.notifies
        last_tables: tuple[int, ...] | None = None
        heartbeat_at = 0.0
        while True:
            if is_cancelled():  # asyncio.wait_for, which aiopg uses, may swallow a cancellation in Python 3.11
                raise asyncio.CancelledError  # noqa: TRY301
            if (wait := heartbeat_at - loop.time()) <= 0:
                clock, tables = await _query_heartbeat(connection)
                yield clock
                if tables != last_tables:
                    yield CacheInvalidated()
                last_tables, heartbeat_at, wait = tables, loop.time() + heartbeat, heartbeat
            # Kept until it is done: cancelling it might lose a notification that it has taken from the queue already.
            next_notification = next_notification or asyncio.ensure_future(notifications.get())
            await asyncio.wait({next_notification}, timeout=wait)
            if next_notification.done():
                first, next_notification = next_notification.result(), None
                for event in _parse_all(first, notifications):
                    yield event
    except Exception:
        database.recheck_primary(connection)
        raise
    finally:
        if next_notification:
            next_notification.cancel()
        connection.close()


async def _query_heartbeat(connection: aiopg.Connection) -> tuple[ClockSync, tuple[int, ...]]:
    loop = asyncio.get_running_loop()
    sent_at = loop.time()
    async with connection.cursor(timeout=STATEMENT_TIMEOUT) as cursor:
        await cursor.execute(_HEARTBEAT_QUERY)
        now, *tables = await cursor.fetchone()
    return ClockSync(now, loop.time() - sent_at), tuple(tables)


def _parse_all(first: psycopg2.extensions.Notify, waiting: ClosableQueue) -> Iterator[Event]:
    """Yield the events of a notification and of all that wait after it."""
    if event := _parse(first):
        yield event
    while not waiting.empty():
        if event := _parse(waiting.get_nowait()):
            yield event


def _parse(notification: psycopg2.extensions.Notify) -> Event | None:
    """Return the event of a notification: CacheInvalidated if the payload is empty (`{}`) or not understood.

    Return None for an object that isn't about a poll, which a later version may send. Unknown keys are ignored.
    """
    try:
        fields = json.loads(notification.payload)
        if not fields:
            return CacheInvalidated()
        if "poll" not in fields and isinstance(fields, dict):
            return None
        numbers = {
            name: None if fields.get(name) is None else int(fields[name]) for name in ("revision", "edition", "ballots")
        }
        return PollChanged(
            int(fields["poll"]), votes=_counts(fields.get("votes")), points=_counts(fields.get("points")), **numbers
        )
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        logger.warning(
            "invalid notification on the channel polls, so the cache is invalidated: %s", notification.payload[:200]
        )
        return CacheInvalidated()


def _counts(counts: Mapping[str, int] | None) -> dict[int, int] | None:
    """Return {choice id: count}."""
    return None if counts is None else {int(choice_id): int(count) for choice_id, count in counts.items()}
