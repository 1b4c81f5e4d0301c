"""The pool of connections that requests use, to the host that takes votes."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import Context
from typing import Literal, NamedTuple
from weakref import WeakSet

import aiopg
import aiopg.connection
import aiopg.sa
import psycopg2
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2

from polls.aio import is_cancelled, retrieve_exception
from polls.config.settings import Postgres
from polls.domain.errors import PollsUnavailable
from polls.storage.postgres.aiopg_patches import _ClosedOnce, _OpenFiles
from polls.storage.postgres.connect import UnusableDatabase, advice
from polls.storage.postgres.primary import CONNECT_TIMEOUT, Host, find

logger = logging.getLogger(__name__)


ACQUIRE_TIMEOUT = 2  # seconds that a request waits for its turn
RECONNECT_TIMEOUT = 1  # seconds more, where a connection has to be opened first
BESIDE_THE_POOL = 2  # connections of each process: one stores ballots, one hears notices
STATEMENT_TIMEOUT = 2  # seconds that a visitor's statement may take
_PAUSE = 0.2  # seconds until several hosts are asked again which of them takes votes

# Dates come in UTC, whatever the server's own time zone is.
_SESSION = f"-c TimeZone=UTC -c statement_timeout={STATEMENT_TIMEOUT}s -c idle_in_transaction_session_timeout=10s"

# What says that a host can't be used any more: it is gone, or it takes no votes any more.
CONNECTION_ERRORS = psycopg2.OperationalError, psycopg2.InterfaceError, psycopg2.errors.ReadOnlySqlTransaction


class PoolQueue(asyncio.Semaphore):
    """Turns at the pool; `waiting` is how many wait for theirs."""

    waiting = 0

    async def acquire(self) -> Literal[True]:
        self.waiting += 1
        try:
            return await super().acquire()
        finally:
            self.waiting -= 1


class PoolUse(NamedTuple):
    """Connections that are `busy` and `free`, the `most` that may be open, and how many are `waiting` for one."""

    busy: int
    free: int
    most: int
    waiting: int


class Database:
    """The way to the database: aiopg's engine with a queue before its pool, and which of several hosts it leads to.

    By itself, aiopg's pool lets latecomers overtake, until some wait in vain; `turns` is where they wait.
    """

    pool: aiopg.sa.Engine  # from the first `connect_to_primary` on

    def __init__(self, postgres: Postgres, *, echo: bool = False) -> None:
        self.turns = PoolQueue(postgres.maxsize)
        self._postgres = postgres
        self._echo = echo
        self._host: Host | None = None
        self._is_doubted = True
        self._asked = float("-inf")  # when the hosts were asked last
        self._search: asyncio.Task[None] | None = None
        self._beside: WeakSet[aiopg.Connection] = WeakSet()
        self._left: set[asyncio.Task[None]] = set()  # pools that lead elsewhere, on their way out

    @property
    def use(self) -> PoolUse:
        """How busy it is."""
        free = self.pool.freesize
        return PoolUse(self.pool.size - free, free, self.pool.maxsize, self.turns.waiting)

    async def connect_to_primary(self) -> aiopg.sa.Engine:
        """The pool, which leads to the host that takes votes.

        That is looked for at first, and when it is in doubt; those who come meanwhile wait for the same answer.
        Raises psycopg2.OperationalError.
        """
        if self._is_doubted:
            if self._search is None:
                self._search = asyncio.create_task(self._find(), context=Context())  # nobody's
                self._search.add_done_callback(retrieve_exception)
            await asyncio.shield(self._search)
        return self.pool

    def recheck_primary(self, failed: aiopg.sa.Engine | aiopg.Connection) -> None:
        """Look for the host again before it is used, since the pool, or a connection beside it, has failed.

        Those that led elsewhere tell nothing. A host that is alone is never in doubt.
        """
        if failed is self.pool or failed in self._beside:
            self._is_doubted = len(self._postgres.hosts) > 1

    async def connect(self) -> aiopg.Connection:
        """A connection of one's own beside the pool, which hears of warnings alone; closed when the host changes.

        Raises psycopg2.Error, TimeoutError.
        """
        pool = await self.connect_to_primary()
        try:
            connection = await aiopg.connect(
                pool.dsn,
                timeout=RECONNECT_TIMEOUT,
                enable_json=False,
                enable_hstore=False,
                enable_uuid=False,
                options=f"{_SESSION} -c client_min_messages=warning",
            )
        except (psycopg2.Error, TimeoutError):
            self.recheck_primary(pool)
            raise
        if pool is not self.pool:
            connection.close()
            raise psycopg2.OperationalError("another host has taken over meanwhile")
        self._beside.add(connection)
        return connection

    async def close(self) -> None:
        """Close every connection, those that are still in use as soon as they come back."""
        if self._search:
            self._search.cancel()
            await asyncio.wait([self._search])
        if self._host:
            self.pool.close()
            await asyncio.gather(self.pool.wait_closed(), *self._left)

    async def _find(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await asyncio.sleep(self._asked + _PAUSE - loop.time())
            found = await asyncio.to_thread(find, self._postgres, since=self._host.timeline if self._host else 0)
            if self._host is None or self._host.dsn != found.dsn:
                self._move(found)
            self._host = found
            self._is_doubted = False
        finally:
            self._asked = loop.time()
            self._search = None

    def _move(self, host: Host) -> None:
        """Let everything lead to `host`, and close what leads elsewhere, whatever hangs in it."""
        before = self.pool if self._host else None
        pool = aiopg.Pool(
            host.dsn,
            minsize=1,
            maxsize=self._postgres.maxsize,
            timeout=CONNECT_TIMEOUT,
            echo=self._echo,
            enable_json=False,
            enable_hstore=False,
            enable_uuid=False,
            on_connect=None,
            pool_recycle=-1,
            options=_SESSION,
        )
        self.pool, self._host = aiopg.sa.Engine(aiopg.sa.engine.get_dialect(), pool, host.dsn), host
        if before is None:
            return
        logger.warning("from now on the database is %s: it is the host that takes votes", host)
        before.terminate()
        left = asyncio.create_task(before.wait_closed())
        self._left.add(left)
        left.add_done_callback(self._left.discard)
        for connection in list(self._beside):
            connection.close()
        self._beside.clear()


async def open_database(postgres: Postgres, *, echo: bool = False) -> Database:
    """A pool of `minsize` to `maxsize` connections, which log their statements if `echo`. Raises UnusableDatabase."""
    aiopg.connection.select = _OpenFiles  # type: ignore[attr-defined, assignment]
    aiopg.connection.Connection = _ClosedOnce  # type: ignore[misc]
    database = Database(postgres, echo=echo)
    try:
        await _fill(await database.connect_to_primary(), postgres.minsize)
    except (psycopg2.Error, TimeoutError) as error:
        raise UnusableDatabase(advice(postgres, error)) from error
    return database


@asynccontextmanager
async def acquired(database: Database) -> AsyncIterator[aiopg.sa.SAConnection]:
    """A connection of the pool for a few statements. Raises PollsUnavailable when the database can't serve them."""
    try:
        async with asyncio.timeout(ACQUIRE_TIMEOUT):
            await database.turns.acquire()
    except TimeoutError as error:
        raise PollsUnavailable from error
    pool = None
    try:
        pool = await database.connect_to_primary()
        connection = await _connection(pool)
        try:
            yield connection
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
        database.turns.release()


@asynccontextmanager
async def transaction(database: Database) -> AsyncIterator[aiopg.sa.SAConnection]:
    """A connection of the pool for statements that are all done, or none is. Raises PollsUnavailable."""
    async with acquired(database) as connection, connection.begin():
        yield connection


def compiled(statement: sa.sql.ClauseElement) -> str:
    """The SQL of a statement whose values are bind parameters, made once: aiopg would make it at every call."""
    return str(statement.compile(dialect=PGDialect_psycopg2()))


async def _connection(pool: aiopg.sa.Engine) -> aiopg.sa.SAConnection:
    try:
        async with asyncio.timeout(RECONNECT_TIMEOUT):
            return await pool.acquire()
    except (OSError, ValueError) as error:
        # aiopg watches bare file numbers: one that is closed already is an error of its own kind.
        raise PollsUnavailable from error


async def _fill(pool: aiopg.sa.Engine, size: int) -> None:
    """Open `size` connections, or none: asked for as many, aiopg would leave a half-filled pool behind."""
    try:
        connections = [await pool.acquire() for _ in range(size)]
    except BaseException:
        pool.terminate()
        await pool.wait_closed()
        raise
    for connection in connections:
        await pool.release(connection)
