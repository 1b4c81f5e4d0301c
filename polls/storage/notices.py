"""The notices of PostgreSQL: every change of a poll as it is committed, by whatever program. sql/ has their form."""

import asyncio
import json
import logging
import random
from collections.abc import AsyncGenerator
from datetime import datetime

import aiopg
import psycopg2

from polls.domain.news import AllMayHaveChanged, News, Notice, Silence, Time
from polls.storage.engine import STATEMENT_TIMEOUT, connect_beside, is_cancelled

logger = logging.getLogger(__name__)

HEARTBEAT = 1  # seconds without a notice after which PostgreSQL is asked whether it is still there
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2  # seconds before another try to connect

_TIME = "SELECT clock_timestamp()"


async def notices(dsn: str) -> AsyncGenerator[News, None]:
    """What is told at `dsn`, for ever: over one connection, or the next one when that is lost."""
    pause: float = _FIRST_PAUSE
    listens = True
    while True:
        try:
            async for news in _notices_of_one_connection(dsn):
                if isinstance(news, AllMayHaveChanged) and not listens:
                    logger.info("the database's notices are heard again: pages come from memory")
                    listens, pause = True, _FIRST_PAUSE
                yield news
        except (psycopg2.Error, OSError, ValueError, TimeoutError, asyncio.CancelledError) as error:
            # aiopg says a statement time-out as a CancelledError.
            if isinstance(error, asyncio.CancelledError) and is_cancelled():
                raise
            if listens:
                reason = " ".join(str(error).split()) or "PostgreSQL does not answer"
                logger.warning("the database's notices are not heard, so pages are read from it each time: %s", reason)
            listens = False
        yield Silence()
        await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - processes need not come back all at once
        pause = min(2 * pause, _LONGEST_PAUSE)


async def _notices_of_one_connection(dsn: str) -> AsyncGenerator[News, None]:
    """What one connection hears until it is lost. Raises psycopg2.Error, OSError, ValueError, TimeoutError."""
    connection = await connect_beside(dsn)
    try:
        async with connection.cursor(timeout=STATEMENT_TIMEOUT) as cursor:
            await cursor.execute("LISTEN polls")
        yield Time(await _now(connection))
        yield AllMayHaveChanged()
        heard = connection.notifies
        while True:
            try:
                async with asyncio.timeout(HEARTBEAT):
                    payload = (await heard.get()).payload
            except TimeoutError:
                yield Time(await _now(connection))
                continue
            yield _understood(payload)
            while not heard.empty():
                yield _understood(heard.get_nowait().payload)
    finally:
        connection.close()


async def _now(connection: aiopg.Connection) -> datetime:
    async with connection.cursor(timeout=STATEMENT_TIMEOUT) as cursor:
        await cursor.execute(_TIME)
        moment: datetime
        (moment,) = await cursor.fetchone()
        return moment


def _understood(payload: str) -> News:
    """A notice; what says nothing of one poll, or nothing that we understand, may mean any."""
    try:
        said = json.loads(payload)
        if not said:
            return AllMayHaveChanged()
        numbers = {
            name: None if said.get(name) is None else int(said[name]) for name in ("revision", "edition", "ballots")
        }
        votes = said.get("votes")
        counted = None if votes is None else {int(choice_id): int(count) for choice_id, count in votes.items()}
        return Notice(int(said["poll"]), votes=counted, **numbers)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        logger.warning("this notice on the channel polls was not understood: %s", payload[:200])
        return AllMayHaveChanged()
