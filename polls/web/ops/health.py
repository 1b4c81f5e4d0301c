"""Health checks for load balancers and supervisors."""

import asyncio
from functools import cache, partial

from aiohttp import web

from polls.aio import SingleFlight
from polls.domain.errors import PollsUnavailable
from polls.storage.checks.readiness import check_database, required_migrations
from polls.storage.checks.writing import try_writing
from polls.web.keys import BALLOT_BOX, DATABASE, POLL_CACHE
from polls.web.pages.base import View

TIMEOUT = 2  # seconds until a database that doesn't answer counts as unreachable
_NO_STORE = {"Cache-Control": "no-store"}
_required_migrations = cache(required_migrations)

# The check that concurrent requests share, so that requests to `/readyz` can't overload the database.
READINESS: web.AppKey[SingleFlight[dict[str, str]]] = web.AppKey("readiness")


class HealthView(View):
    """Liveness: 200 while the process serves requests, whatever the state of the database."""

    async def get(self) -> web.Response:
        return web.json_response({"alive": True}, headers=_NO_STORE)


class ReadyView(View):
    """Readiness: 200, or 503 with the part that isn't ready (database, schema or listener), without details."""

    async def get(self) -> web.Response:
        app = self.request.app
        state = {
            **await app[READINESS].run(partial(_check, app)),
            "listener": "connected" if app[POLL_CACHE].is_synced else "disconnected",
        }
        is_ready = state == {"database": "writable", "schema": "current", "listener": "connected"}
        return web.json_response({"ready": is_ready, **state}, status=200 if is_ready else 503, headers=_NO_STORE)


async def _check(app: web.Application) -> dict[str, str]:
    """Return the states of "database" and "schema"; try to write only if the last ballots weren't stored."""
    state = {"database": "unreachable", "schema": "unknown"}
    try:
        async with asyncio.timeout(TIMEOUT):
            found = await check_database(app[DATABASE], _required_migrations())
            state["schema"] = "current" if found.is_current else "not current"
            if not found.is_writable:
                return state | {"database": "read-only"}
            if app[BALLOT_BOX].is_failing:
                state["database"] = "not writable"
                await try_writing(app[DATABASE])
                app[BALLOT_BOX].is_failing = False
    except (PollsUnavailable, TimeoutError):
        return state
    return state | {"database": "writable"}
