"""The way to PostgreSQL: the pool of connections, single connections, and what their failures mean."""

import asyncio
import os
import re
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import aiopg
import aiopg.connection
import aiopg.sa
import psycopg2
import sqlalchemy as sa
from psycopg2.extensions import make_dsn, parse_dsn
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2

from polls.config import Postgres
from polls.domain.errors import PollsUnavailable

Connection: TypeAlias = psycopg2.extensions.connection

CONNECT_TIMEOUT = 5  # seconds until a server that doesn't answer counts as away
ACQUIRE_TIMEOUT = 2  # seconds that a request waits for its turn
RECONNECT_TIMEOUT = 1  # seconds more, where a connection has to be opened first
BESIDE_THE_POOL = 2  # connections of each process: one stores ballots, one hears notices
STATEMENT_TIMEOUT = 2  # seconds that a visitor's statement may take

# Dates come in UTC, whatever the server's own time zone is.
_SESSION = f"-c TimeZone=UTC -c statement_timeout={STATEMENT_TIMEOUT}s -c idle_in_transaction_session_timeout=10s"


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


@dataclass(frozen=True, slots=True)
class Engine:
    """aiopg's engine, with a queue before its pool: by itself it lets latecomers overtake, until some wait in vain.

    `dsn` is where its connections lead.
    """

    dsn: str
    pool: aiopg.sa.Engine
    turns: Turns

    @property
    def use(self) -> PoolUse:
        """How busy it is."""
        free = self.pool.freesize
        return PoolUse(self.pool.size - free, free, self.pool.maxsize, self.turns.waiting)


async def open_engine(postgres: Postgres, *, echo: bool = False) -> Engine:
    """A pool of `minsize` to `maxsize` connections, which log their statements if `echo`. Raises UnusableDatabase."""
    dsn = await asyncio.to_thread(_answering, postgres)
    aiopg.connection.select = _OpenFiles  # type: ignore[attr-defined, assignment]
    try:
        pool = await aiopg.sa.create_engine(
            dsn,
            minsize=1,
            maxsize=postgres.maxsize,
            timeout=CONNECT_TIMEOUT,
            echo=echo,
            enable_json=False,
            enable_hstore=False,
            enable_uuid=False,
            options=_SESSION,
        )
        await _fill(pool, postgres.minsize)
    except (psycopg2.Error, TimeoutError) as error:
        raise UnusableDatabase(advice(postgres, str(error))) from error
    return Engine(dsn, pool, Turns(postgres.maxsize))


async def close_engine(engine: Engine) -> None:
    """Close every connection, those that are still in use as soon as they come back."""
    engine.pool.close()
    await engine.pool.wait_closed()


@asynccontextmanager
async def acquired(engine: Engine) -> AsyncIterator[aiopg.sa.SAConnection]:
    """A connection of the pool for a few statements. Raises PollsUnavailable when the database can't serve them."""
    try:
        async with asyncio.timeout(ACQUIRE_TIMEOUT):
            await engine.turns.acquire()
    except TimeoutError as error:
        raise PollsUnavailable from error
    try:
        connection = await _connection(engine)
        try:
            yield connection
        finally:
            await engine.pool.release(connection)
    except (psycopg2.OperationalError, psycopg2.InterfaceError, TimeoutError) as error:
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


async def connect_beside(dsn: str) -> aiopg.Connection:
    """A connection of one's own beside the pool, which hears of warnings alone. Raises psycopg2.Error, TimeoutError."""
    return await aiopg.connect(
        dsn,
        timeout=RECONNECT_TIMEOUT,
        enable_json=False,
        enable_hstore=False,
        enable_uuid=False,
        options=f"{_SESSION} -c client_min_messages=warning",
    )


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
        connection = psycopg2.connect(dsn(postgres))
    except psycopg2.OperationalError as error:
        raise UnusableDatabase(advice(postgres, str(error))) from error
    try:
        yield connection
    except psycopg2.Error as error:
        raise UnusableDatabase(f"PostgreSQL refused: {' '.join(str(error).split())}") from error
    finally:
        connection.close()


def dsn(postgres: Postgres) -> str:
    """The connection string for libpq; any character is allowed in any setting."""
    named: dict[str, str | int | None] = {
        "host": postgres.host,
        "port": postgres.port,
        "user": postgres.user,
        "password": postgres.password,
        "passfile": postgres.passfile,
        "sslmode": postgres.sslmode,
        "sslrootcert": postgres.sslrootcert,
        "sslcert": postgres.sslcert,
        "sslkey": postgres.sslkey,
    }
    return make_dsn(
        dbname=database(postgres),
        application_name="polls",
        connect_timeout=str(CONNECT_TIMEOUT),
        **{key: str(value) for key, value in named.items() if value is not None},
    )


def environment(postgres: Postgres) -> dict[str, str]:
    """The same for PostgreSQL's own programs, as environment variables: arguments could be read by everybody."""
    names = {"dbname": "PGDATABASE", "application_name": "PGAPPNAME"}
    return {names.get(key, f"PG{key.upper()}"): value for key, value in parse_dsn(dsn(postgres)).items()}


def database(postgres: Postgres) -> str:
    """The name of the database, where neither the configuration nor $PGDATABASE gives one: polls."""
    return postgres.database or os.environ.get("PGDATABASE") or "polls"


async def _connection(engine: Engine) -> aiopg.sa.SAConnection:
    try:
        async with asyncio.timeout(RECONNECT_TIMEOUT):
            return await engine.pool.acquire()
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


def _answering(postgres: Postgres) -> str:
    """The connection string, narrowed to the address that answers where a name has several.

    aiopg hangs when the first address of a name refuses (`localhost` with ::1 before 127.0.0.1); libpq goes on
    to the next one.
    """
    with connect(postgres) as connection:
        host = connection.info.host
        if host is None or host.startswith("/") or len(_addresses(host)) < 2:
            return dsn(postgres)
        with socket.socket(fileno=os.dup(connection.fileno())) as wire:
            return make_dsn(dsn(postgres), hostaddr=wire.getpeername()[0])


def _addresses(host: str) -> set[str]:
    return {str(address[0]) for *_, address in socket.getaddrinfo(host, None)}


def advice(postgres: Postgres, refusal: str) -> str:
    """Tell an operator why there is no connection and what would help, in one line."""
    name = database(postgres)
    if f'database "{name}" does not exist' in refusal:
        return f"the database {name} does not exist on this PostgreSQL server. Make it: createdb {name}"
    if "password authentication failed" in refusal or "no password supplied" in refusal:
        return (
            "PostgreSQL refused the password. "
            "Set postgres.user and postgres.password in the configuration, or use ~/.pgpass."
        )
    reason = re.sub(r" Is the server running .*\?$", "", " ".join(refusal.split())).rstrip(".")
    return f"can't reach PostgreSQL: {reason}. Check what stands below postgres: in the configuration."
