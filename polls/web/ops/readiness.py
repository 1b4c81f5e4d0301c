"""The state of the database for `/readyz`."""

import asyncio
from contextvars import Context
from typing import Any

from aiohttp import web

from polls.domain.errors import PollsUnavailable
from polls.storage.checks.readiness import check_database, required_migrations
from polls.storage.postgres.pool import Database

TIMEOUT = 2  # seconds until a database that doesn't answer counts as unreachable


class Readiness:
    """A check of the database that concurrent requests share, so that requests to `/readyz` can't overload it."""

    def __init__(self) -> None:
        self._needed = required_migrations()
        self._running: asyncio.Task[dict[str, str]] | None = None

    async def check(self, database: Database) -> dict[str, str]:
        """Return the states of "database" and "schema", without details: `/readyz` is public."""
        if self._running is None:
            # An empty context: the check belongs to no request, and so logs no request id.
            self._running = asyncio.create_task(self._query(database), context=Context())
            self._running.add_done_callback(self._end)
        return await asyncio.shield(self._running)

    async def _query(self, database: Database) -> dict[str, str]:
        try:
            async with asyncio.timeout(TIMEOUT):
                found = await check_database(database, self._needed)
        except (PollsUnavailable, TimeoutError):
            return {"database": "unreachable", "schema": "unknown"}
        return {
            "database": "writable" if found.is_writable else "read-only",
            "schema": "current" if found.is_current else "not current",
        }

    def _end(self, _: asyncio.Task[Any]) -> None:
        self._running = None


READINESS = web.AppKey("readiness", Readiness)
