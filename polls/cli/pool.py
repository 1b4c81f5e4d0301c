"""A connection pool for the work of one command."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from polls.cli import CommandFailed
from polls.config.settings import Config, Postgres
from polls.domain.errors import PollsUnavailable
from polls.storage.checks.start import prepare
from polls.storage.postgres import embedded
from polls.storage.postgres.connect import connect
from polls.storage.postgres.pool import Database, open_database

_Result = TypeVar("_Result")


def with_database(config: Config, work: Callable[[Database], Awaitable[_Result]]) -> _Result:
    """Return the result of `work` on the configured database, after migrating it if the configuration says so.

    Raises CommandFailed.
    """

    async def run(postgres: Postgres) -> _Result:
        database = await open_database(replace(postgres, minsize=1))
        try:
            return await work(database)
        finally:
            await database.close()

    with embedded.running(config.postgres) as postgres:
        with connect(postgres) as connection:
            prepare(postgres, connection)
        try:
            return asyncio.run(run(postgres))
        except PollsUnavailable as error:
            raise CommandFailed(f"the database is unavailable: {error.__cause__}") from None
