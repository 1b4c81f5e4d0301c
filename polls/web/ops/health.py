"""Health checks for load balancers and supervisors."""

import asyncio
from functools import partial

from aiohttp import web

from polls.aio import SingleFlight
from polls.domain.errors import PollsUnavailable
from polls.storage.checks.readiness import check_database, required_migrations
from polls.storage.postgres.pool import Database
from polls.web.keys import DATABASE, POLL_CACHE
from polls.web.pages.base import View

TIMEOUT = 2  # seconds until a database that doesn't answer counts as unreachable
_NO_STORE = {"Cache-Control": "no-store"}


class HealthView(View):
    """Liveness: 200 while the process serves requests, whatever the state of the database."""

    async def get(self) -> web.Response:
        return web.json_response({"alive": True}, headers=_NO_STORE)


class ReadyView(View):
    """Readiness: 200, or 503 with the part that isn't ready (database, schema or listener)."""

    async def get(self) -> web.Response:
        app = self.request.app
        state = {
            **await app[READINESS].check(app[DATABASE]),
            "listener": "connected" if app[POLL_CACHE].is_synced else "disconnected",
        }
        is_ready = state == {"database": "writable", "schema": "current", "listener": "connected"}
        return web.json_response({"ready": is_ready, **state}, status=200 if is_ready else 503, headers=_NO_STORE)


class Readiness:
    """A check of the database that concurrent requests share, so that requests to `/readyz` can't overload it."""

    def __init__(self) -> None:
        self._needed = required_migrations()
        self._query = SingleFlight[dict[str, str]]()

    async def check(self, database: Database) -> dict[str, str]:
        """Return the states of "database" and "schema", without details: `/readyz` is public."""
        return await self._query.run(partial(self._run_query, database))

    async def _run_query(self, database: Database) -> dict[str, str]:
        try:
            async with asyncio.timeout(TIMEOUT):
                found = await check_database(database, self._needed)
        except (PollsUnavailable, TimeoutError):
            return {"database": "unreachable", "schema": "unknown"}
        return {
            "database": "writable" if found.is_writable else "read-only",
            "schema": "current" if found.is_current else "not current",
        }


READINESS = web.AppKey("readiness", Readiness)
