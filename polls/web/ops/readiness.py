"""Whether the database is fit to serve, asked for by whoever watches over this process."""

import asyncio
from contextvars import Context
from typing import Any

from aiohttp import web

from polls.domain.errors import PollsUnavailable
from polls.storage.checks.readiness import fitness, needed
from polls.storage.postgres.pool import Database

PATIENCE = 2  # seconds until a database that doesn't answer counts as away


class Readiness:
    """Looks at the database once for all who ask at the same time, so that nobody keeps it busy by asking."""

    def __init__(self) -> None:
        self._needed = needed()
        self._look: asyncio.Task[dict[str, str]] | None = None

    async def of_database(self, database: Database) -> dict[str, str]:
        """What there is to say of the database and its schema, in words that tell a stranger nothing more."""
        if self._look is None:
            self._look = asyncio.create_task(self._look_at(database), context=Context())  # nobody's
            self._look.add_done_callback(self._forget)
        return await asyncio.shield(self._look)

    async def _look_at(self, database: Database) -> dict[str, str]:
        try:
            async with asyncio.timeout(PATIENCE):
                found = await fitness(database, self._needed)
        except (PollsUnavailable, TimeoutError):
            return {"database": "unreachable", "schema": "unknown"}
        return {
            "database": "writable" if found.is_writable else "read-only",
            "schema": "current" if found.is_current else "not current",
        }

    def _forget(self, _: asyncio.Task[Any]) -> None:
        self._look = None


READINESS = web.AppKey("readiness", Readiness)
