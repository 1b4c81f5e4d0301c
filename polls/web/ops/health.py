"""Health checks for load balancers and supervisors."""

from aiohttp import web

from polls.web.keys import DATABASE, POLL_CACHE
from polls.web.ops.readiness import READINESS
from polls.web.pages.base import View

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
