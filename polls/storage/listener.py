"""The notices of PostgreSQL: every change of a poll as it is committed, by whatever program. sql/ has their form."""

import asyncio
import json
import logging
import random
from collections.abc import AsyncGenerator

import aiopg
import psycopg2

from polls.aio import is_cancelled
from polls.domain.events import CacheInvalidated, ClockSync, Event, ListenerLost, PollChanged
from polls.storage.postgres.pool import STATEMENT_TIMEOUT, Database

logger = logging.getLogger(__name__)

HEARTBEAT = 1  # seconds until PostgreSQL is asked again whether it is still there
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2  # seconds before another try to connect

# The tables, too: a restored dump replaces them, and no trigger tells.
_HEARTBEAT = "SELECT clock_timestamp(), 'question'::regclass::oid, 'choice'::regclass::oid"


async def listen(database: Database) -> AsyncGenerator[Event, None]:
    """What is told where `database` leads, for ever: over one connection, or the next one when that is lost."""
    pause: float = _FIRST_PAUSE
    listens = True
    while True:
        try:
            async for news in _notices_of_one_connection(database):
                if isinstance(news, CacheInvalidated) and not listens:
                    logger.info("the database's notices are heard again: pages come from memory")
                    listens = True
                elif listens:
                    pause = _FIRST_PAUSE
                yield news
        except (psycopg2.Error, OSError, ValueError, TimeoutError, asyncio.CancelledError) as error:
            # aiopg says a statement time-out as a CancelledError.
            if isinstance(error, asyncio.CancelledError) and is_cancelled():
                raise
            if listens:
                reason = " ".join(str(error).split()) or "PostgreSQL does not answer"
                logger.warning("the database's notices are not heard, so pages are read from it each time: %s", reason)
            listens = False
        yield ListenerLost()
        await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - processes need not come back all at once
        pause = min(2 * pause, _LONGEST_PAUSE)


async def _notices_of_one_connection(database: Database) -> AsyncGenerator[Event, None]:
    """What one connection hears until it is lost. Raises psycopg2.Error, OSError, ValueError, TimeoutError."""
    loop = asyncio.get_running_loop()
    connection = await database.connect()
    hearing: asyncio.Task[psycopg2.extensions.Notify] | None = None
    try:
        async with connection.cursor(timeout=STATEMENT_TIMEOUT) as cursor:
            await cursor.execute("LISTEN polls")
        heard = connection.notifies
        known: tuple[int, ...] | None = None
        due = 0.0
        while True:
            if is_cancelled():  # asyncio.wait_for, which aiopg uses, may swallow that in Python 3.11
                raise asyncio.CancelledError  # noqa: TRY301
            if (wait := due - loop.time()) <= 0:
                time, tables = await _beat(connection)
                yield time
                if tables != known:
                    yield CacheInvalidated()
                known, due, wait = tables, loop.time() + HEARTBEAT, HEARTBEAT
            # Never cancelled while it may have taken a notice already, which would be lost with it.
            hearing = hearing or asyncio.ensure_future(heard.get())
            await asyncio.wait({hearing}, timeout=wait)
            if hearing.done():
                notification, hearing = hearing.result(), None
                yield _understood(notification.payload)
                while not heard.empty():
                    yield _understood(heard.get_nowait().payload)
    except Exception:
        database.recheck_primary(connection)
        raise
    finally:
        if hearing:
            hearing.cancel()
        connection.close()


async def _beat(connection: aiopg.Connection) -> tuple[ClockSync, tuple[int, ...]]:
    """Ask what time it is and which tables there are; an answer tells that the connection is still there, too."""
    loop = asyncio.get_running_loop()
    asked = loop.time()
    async with connection.cursor(timeout=STATEMENT_TIMEOUT) as cursor:
        await cursor.execute(_HEARTBEAT)
        now, *tables = await cursor.fetchone()
    return ClockSync(now, loop.time() - asked), tuple(tables)


def _understood(payload: str) -> Event:
    """A notice; what says nothing of one poll, or nothing that we understand, may mean any."""
    try:
        said = json.loads(payload)
        if not said:
            return CacheInvalidated()
        numbers = {
            name: None if said.get(name) is None else int(said[name]) for name in ("revision", "edition", "ballots")
        }
        votes = said.get("votes")
        counted = None if votes is None else {int(choice_id): int(count) for choice_id, count in votes.items()}
        return PollChanged(int(said["poll"]), votes=counted, **numbers)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        logger.warning("this notice on the channel polls was not understood: %s", payload[:200])
        return CacheInvalidated()
