"""The connection pool that requests use; with several hosts, it follows the primary."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakSet

import aiopg
import aiopg.sa
import psycopg2

from polls.aio import CountedSemaphore, SingleFlight, is_cancelled
from polls.config.settings import Postgres
from polls.domain.errors import PollsUnavailable
from polls.storage.postgres import aiopg_patches
from polls.storage.postgres.connect import KEEP_VALUES_OUT_OF_LOG, UnusableDatabase, connect_error_message
from polls.storage.postgres.primary import CONNECT_TIMEOUT, Primary, find_primary

logger = logging.getLogger(__name__)

ACQUIRE_TIMEOUT = 2  # seconds that a request waits in the queue for a connection
RECONNECT_TIMEOUT = 1  # seconds more if the connection has to be opened first
DEDICATED_CONNECTIONS = 2  # connections of each process outside the pool: one stores ballots, one listens
STATEMENT_TIMEOUT = 2  # seconds that a request's statement may take
_SEARCH_INTERVAL = 0.2  # seconds between two searches for the primary

# Dates come in UTC, whatever the server's own time zone is.
_SESSION = f"-c TimeZone=UTC -c statement_timeout={STATEMENT_TIMEOUT}s -c idle_in_transaction_session_timeout=10s"

# psycopg2's own conversions of these types do; aiopg would register others, with a query, for each connection.
_WITHOUT_TYPES: dict[str, Any] = {"enable_json": False, "enable_hstore": False, "enable_uuid": False}

# Errors after which a connection can't be used any more: the server is gone, or it is no longer the primary.
CONNECTION_ERRORS = psycopg2.OperationalError, psycopg2.InterfaceError, psycopg2.errors.ReadOnlySqlTransaction


class Database:
    """A connection pool with a queue in front of it, which follows the primary of several hosts.

    aiopg's own pool lets later requests overtake earlier ones, until some time out; `queue` serves them in order.
    """

    pool: aiopg.sa.Engine  # set by the first `connect_to_primary`

    def __init__(self, postgres: Postgres, *, echo: bool = False) -> None:
        self.queue = CountedSemaphore(postgres.maxsize)
        self._postgres = postgres
        self._echo = echo
        self._primary: Primary | None = None
        self._needs_search = True
        self._searched_at = float("-inf")  # the loop's time at the end of the last search
        self._search = SingleFlight[None]()
        self._dedicated: WeakSet[aiopg.Connection] = WeakSet()
        self._closing_pools: set[asyncio.Task[None]] = set()  # of former primaries
        self._discarded_at = float("-inf")  # the loop's time

    async def connect_to_primary(self) -> aiopg.sa.Engine:
        """Return the pool of the primary, after a search for it at the first call and after `recheck_primary`.

        Concurrent callers share one search. Raises psycopg2.OperationalError.
        """
        if self._needs_search:
            await self._search.run(self._run_search)
        return self.pool

    def recheck_primary(self, failed: aiopg.sa.Engine | aiopg.Connection) -> None:
        """Search for the primary before the next use, since the pool or a dedicated connection has failed.

        Failures of a former primary's pool and connections are ignored. A single host is never searched for again.
        """
        if failed is self.pool or failed in self._dedicated:
            self._needs_search = len(self._postgres.hosts) > 1

    async def acquire(self, pool: aiopg.sa.Engine) -> aiopg.sa.SAConnection:
        """Acquire a connection; close those not used since the last `discard`. Raises PollsUnavailable."""
        try:
            async with asyncio.timeout(RECONNECT_TIMEOUT):
                while (connection := await pool.acquire()).connection.last_usage < self._discarded_at:
                    connection.connection.close()
                    await pool.release(connection)
                return connection
        except (OSError, ValueError) as error:
            # aiopg registers bare file descriptors: https://github.com/aio-libs/aiopg/issues/837
            raise PollsUnavailable from error

    def discard(self, connection: aiopg.sa.SAConnection) -> None:
        """Close a connection of the pool that has failed, and before their next use the free ones.

        Sessions keep the settings with which they began, such as default_transaction_read_only, until they end.
        """
        connection.connection.close()
        self._discarded_at = asyncio.get_running_loop().time()

    async def connect(self) -> aiopg.Connection:
        """Open a dedicated connection outside the pool; it is closed when the primary changes.

        It receives warnings, but no notices of lower severity. Raises psycopg2.Error, TimeoutError.
        """
        pool = await self.connect_to_primary()
        try:
            connection = await aiopg.connect(
                pool.dsn,
                timeout=RECONNECT_TIMEOUT,
                options=f"{_SESSION} -c client_min_messages=warning",
                **_WITHOUT_TYPES,
            )
            await _keep_values_out_of_log(connection)
        except (psycopg2.Error, TimeoutError):
            self.recheck_primary(pool)
            raise
        if pool is not self.pool:
            connection.close()
            raise psycopg2.OperationalError("the primary has changed meanwhile")
        self._dedicated.add(connection)
        return connection

    async def close(self) -> None:
        """Close every connection; those in use are closed when they are released."""
        try:
            await self._search.cancel()
        finally:
            if self._primary:
                self.pool.close()
                await self.pool.wait_closed()  # closes the free ones at once, even if it is cancelled then
                await asyncio.gather(*self._closing_pools)

    async def _run_search(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await asyncio.sleep(self._searched_at + _SEARCH_INTERVAL - loop.time())
            min_timeline = self._primary.timeline if self._primary else 0
            primary = await asyncio.to_thread(find_primary, self._postgres, min_timeline=min_timeline)
            if self._primary is None or self._primary.dsn != primary.dsn:
                self._switch_to(primary)
            self._primary = primary
            self._needs_search = False
        finally:
            self._searched_at = loop.time()

    def _switch_to(self, primary: Primary) -> None:
        """Open a pool to `primary`, and close all connections to the former primary, including those in use."""
        former = self.pool if self._primary else None
        pool = aiopg.Pool(
            primary.dsn,
            minsize=1,
            maxsize=self._postgres.maxsize,
            timeout=CONNECT_TIMEOUT,
            echo=self._echo,
            on_connect=_keep_values_out_of_log,
            pool_recycle=-1,
            options=_SESSION,
            **_WITHOUT_TYPES,
        )
        self.pool = aiopg.sa.Engine(aiopg.sa.engine.get_dialect(), pool, primary.dsn)
        if former is None:
            return
        logger.warning("the primary is now %s: all connections are moved to it", primary)
        former.terminate()
        closing = asyncio.create_task(former.wait_closed())
        self._closing_pools.add(closing)
        closing.add_done_callback(self._closing_pools.discard)
        for connection in list(self._dedicated):
            connection.close()
        self._dedicated.clear()


async def _keep_values_out_of_log(connection: aiopg.Connection) -> None:
    try:
        async with connection.cursor() as cursor:
            await cursor.execute(KEEP_VALUES_OUT_OF_LOG)
    except BaseException:
        connection.close()
        raise


async def open_database(postgres: Postgres, *, echo: bool = False) -> Database:
    """Open a pool of `minsize` to `maxsize` connections; `echo` logs their statements. Raises UnusableDatabase."""
    aiopg_patches.apply()
    database = Database(postgres, echo=echo)
    try:
        await _fill(await database.connect_to_primary(), postgres.minsize)
    except (psycopg2.Error, TimeoutError) as error:
        raise UnusableDatabase(connect_error_message(postgres, error)) from error
    return database


async def _fill(pool: aiopg.sa.Engine, size: int) -> None:
    """Open `size` connections or none; aiopg's `minsize` would leave a half-filled pool behind after an error."""
    try:
        connections = [await pool.acquire() for _ in range(size)]
        for connection in connections:
            await pool.release(connection)
    except BaseException:
        pool.terminate()
        await pool.wait_closed()
        raise


@asynccontextmanager
async def acquired(database: Database) -> AsyncIterator[aiopg.sa.SAConnection]:
    """Acquire a connection of the pool for a few statements.

    Raises PollsUnavailable if the queue is too long, the connection is lost or a statement takes too long.
    """
    try:
        async with asyncio.timeout(ACQUIRE_TIMEOUT):
            await database.queue.acquire()
    except TimeoutError as error:
        raise PollsUnavailable from error
    pool = None
    try:
        pool = await database.connect_to_primary()
        connection = await database.acquire(pool)
        try:
            yield connection
        except (psycopg2.IntegrityError, psycopg2.DataError):
            raise  # because of the values alone
        except psycopg2.Error:
            database.discard(connection)
            raise
        finally:
            await pool.release(connection)
    except (*CONNECTION_ERRORS, TimeoutError) as error:
        if pool:
            database.recheck_primary(pool)
        raise PollsUnavailable from error
    except asyncio.CancelledError:
        if is_cancelled():
            raise
        timeout = TimeoutError(f"a statement took longer than {STATEMENT_TIMEOUT} seconds")
        raise PollsUnavailable from timeout
    finally:
        database.queue.release()


@asynccontextmanager
async def transaction(database: Database) -> AsyncIterator[aiopg.sa.SAConnection]:
    """Acquire a connection of the pool and run a transaction on it. Raises PollsUnavailable."""
    async with acquired(database) as connection, connection.begin():
        yield connection
