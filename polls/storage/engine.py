"""The way to PostgreSQL: the pool of connections, single connections, and what their failures mean."""

import asyncio
import logging
import os
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import Context
from typing import Literal, NamedTuple, TypeAlias
from weakref import WeakSet

import aiopg
import aiopg.connection
import aiopg.sa
import psycopg2
import sqlalchemy as sa
from psycopg2.extensions import parse_dsn
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2

from polls.config import Postgres
from polls.domain.errors import PollsUnavailable
from polls.storage.hosts import CONNECT_TIMEOUT, Host, NoHost, database, dsn, find, reason, writable

logger = logging.getLogger(__name__)

Connection: TypeAlias = psycopg2.extensions.connection

ACQUIRE_TIMEOUT = 2  # seconds that a request waits for its turn
RECONNECT_TIMEOUT = 1  # seconds more, where a connection has to be opened first
BESIDE_THE_POOL = 2  # connections of each process: one stores ballots, one hears notices
STATEMENT_TIMEOUT = 2  # seconds that a visitor's statement may take
_PAUSE = 0.2  # seconds until several hosts are asked again which of them takes votes

# Dates come in UTC, whatever the server's own time zone is.
_SESSION = f"-c TimeZone=UTC -c statement_timeout={STATEMENT_TIMEOUT}s -c idle_in_transaction_session_timeout=10s"

# What says that a host can't be used any more: it is gone, or it takes no votes any more.
LOST = psycopg2.OperationalError, psycopg2.InterfaceError, psycopg2.errors.ReadOnlySqlTransaction


class UnusableDatabase(Exception):
    """The configured database can't serve polls; the message tells an operator why and what to do, in one line."""


class Turns(asyncio.Semaphore):
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


class Engine:
    """The way to the database: aiopg's engine with a queue before its pool, and which of several hosts it leads to.

    By itself, aiopg's pool lets latecomers overtake, until some wait in vain; `turns` is where they wait.
    """

    pool: aiopg.sa.Engine  # from the first `lead` on

    def __init__(self, postgres: Postgres, *, echo: bool = False) -> None:
        self.turns = Turns(postgres.maxsize)
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

    async def lead(self) -> aiopg.sa.Engine:
        """The pool, which leads to the host that takes votes.

        That is looked for at first, and when it is in doubt; those who come meanwhile wait for the same answer.
        Raises psycopg2.OperationalError.
        """
        if self._is_doubted:
            if self._search is None:
                self._search = asyncio.create_task(self._find(), context=Context())  # nobody's
                self._search.add_done_callback(_retrieve)
            await asyncio.shield(self._search)
        return self.pool

    def doubt(self, failed: aiopg.sa.Engine | aiopg.Connection) -> None:
        """Look for the host again before it is used, since the pool, or a connection beside it, has failed.

        Those that led elsewhere tell nothing. A host that is alone is never in doubt.
        """
        if failed is self.pool or failed in self._beside:
            self._is_doubted = len(self._postgres.hosts) > 1

    async def connect(self) -> aiopg.Connection:
        """A connection of one's own beside the pool, which hears of warnings alone; closed when the host changes.

        Raises psycopg2.Error, TimeoutError.
        """
        pool = await self.lead()
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
            self.doubt(pool)
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


async def open_engine(postgres: Postgres, *, echo: bool = False) -> Engine:
    """A pool of `minsize` to `maxsize` connections, which log their statements if `echo`. Raises UnusableDatabase."""
    aiopg.connection.select = _OpenFiles  # type: ignore[attr-defined, assignment]
    aiopg.connection.Connection = _ClosedOnce  # type: ignore[misc]
    engine = Engine(postgres, echo=echo)
    try:
        await _fill(await engine.lead(), postgres.minsize)
    except (psycopg2.Error, TimeoutError) as error:
        raise UnusableDatabase(advice(postgres, error)) from error
    return engine


@asynccontextmanager
async def acquired(engine: Engine) -> AsyncIterator[aiopg.sa.SAConnection]:
    """A connection of the pool for a few statements. Raises PollsUnavailable when the database can't serve them."""
    try:
        async with asyncio.timeout(ACQUIRE_TIMEOUT):
            await engine.turns.acquire()
    except TimeoutError as error:
        raise PollsUnavailable from error
    pool = None
    try:
        pool = await engine.lead()
        connection = await _connection(pool)
        try:
            yield connection
        finally:
            await pool.release(connection)
    except (*LOST, TimeoutError) as error:
        if pool:
            engine.doubt(pool)
        raise PollsUnavailable from error
    except asyncio.CancelledError:
        if is_cancelled():
            raise
        timeout = TimeoutError(f"a statement took longer than {STATEMENT_TIMEOUT} seconds")
        raise PollsUnavailable from timeout
    finally:
        engine.turns.release()


@asynccontextmanager
async def transaction(engine: Engine) -> AsyncIterator[aiopg.sa.SAConnection]:
    """A connection of the pool for statements that are all done, or none is. Raises PollsUnavailable."""
    async with acquired(engine) as connection, connection.begin():
        yield connection


def is_cancelled() -> bool:
    """Whether a CancelledError is meant for this task; aiopg says a statement time-out in the same way."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def compiled(statement: sa.sql.ClauseElement) -> str:
    """The SQL of a statement whose values are bind parameters, made once: aiopg would make it at every call."""
    return str(statement.compile(dialect=PGDialect_psycopg2()))


@contextmanager
def connect(postgres: Postgres) -> Iterator[Connection]:
    """One connection without time limits, for commands and migrations. Raises UnusableDatabase for all that fails."""
    try:
        connection = psycopg2.connect(dsn(writable(postgres)))
    except psycopg2.OperationalError as error:
        raise UnusableDatabase(advice(postgres, error)) from error
    try:
        yield connection
    except psycopg2.Error as error:
        raise UnusableDatabase(_refusal(error)) from error
    finally:
        connection.close()


def narrowed(postgres: Postgres) -> Postgres:
    """The settings with the host alone that takes votes. Raises UnusableDatabase."""
    try:
        return writable(postgres)
    except psycopg2.OperationalError as error:
        raise UnusableDatabase(advice(postgres, error)) from error


def environment(postgres: Postgres) -> dict[str, str]:
    """The same for PostgreSQL's own programs, as environment variables: arguments could be read by everybody.

    Raises UnusableDatabase.
    """
    names = {"dbname": "PGDATABASE", "application_name": "PGAPPNAME"}
    settings = parse_dsn(dsn(narrowed(postgres)))
    return {names.get(key, f"PG{key.upper()}"): value for key, value in settings.items()}


async def _connection(pool: aiopg.sa.Engine) -> aiopg.sa.SAConnection:
    try:
        async with asyncio.timeout(RECONNECT_TIMEOUT):
            return await pool.acquire()
    except (OSError, ValueError) as error:
        # aiopg watches bare file numbers: one that is closed already is an error of its own kind.
        raise PollsUnavailable from error


class _OpenFiles:
    """Stands for the module `select` in aiopg, which asks it whether a connection that has failed is still open.

    The real select() knows no file number past 1,023, and raises. With that many watchers, a connection that was lost
    would be watched for ever, until a visitor's gets its number.
    """

    @staticmethod
    def select(files: Sequence[int], *_: object) -> None:
        """Raise OSError where the first of `files` is closed."""
        os.fstat(files[0])


class _ClosedOnce(aiopg.Connection):
    """A connection that forgets its file's number with its file.

    Closed a second time, aiopg's own would have the loop look no more after that number, whoever has it by then.
    """

    def _close(self) -> None:
        super()._close()
        self._fileno = None


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


def advice(postgres: Postgres, error: Exception) -> str:
    """Tell an operator why there is no connection, or none that is of use, and what would help, in one line."""
    if isinstance(error, psycopg2.ProgrammingError):
        return _refusal(error)
    name, refusal = database(postgres), str(error)
    if not isinstance(error, NoHost):
        if f'database "{name}" does not exist' in refusal:
            return f"the database {name} does not exist on this PostgreSQL server. Make it: createdb {name}"
        if role := re.search(r'role "(.*)" does not exist', refusal):
            return f"can't reach PostgreSQL: {reason(refusal)}. Make it: createuser {role[1]}; or set postgres.user"
        if "password authentication failed" in refusal or "no password supplied" in refusal:
            return (
                "PostgreSQL refused the password. "
                "Set postgres.user and postgres.password in the configuration, or use ~/.pgpass."
            )
    return f"can't reach PostgreSQL: {reason(refusal)}. Check what stands below postgres: in the configuration."


def _refusal(error: psycopg2.Error) -> str:
    refusal = f"PostgreSQL refused: {' '.join(str(error).split())}"
    if isinstance(error, psycopg2.errors.InsufficientPrivilege | psycopg2.errors.UndefinedTable):
        return f"{refusal}. `polls doctor` tells what is wrong with the set-up"
    return refusal


def _retrieve(task: asyncio.Task[None]) -> None:
    """Look at how a task ended, so that nobody complains when all who waited for it have gone."""
    if not task.cancelled():
        task.exception()
