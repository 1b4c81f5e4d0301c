"""Whether this process is alive, and whether it is fit to serve, for those who send it requests."""

from aiohttp import web

from polls.web.keys import DATABASE, POLL_CACHE
from polls.web.ops.readiness import READINESS
from polls.web.pages.base import View

_NOT_KEPT = {"Cache-Control": "no-store"}


class HealthView(View):
    """Alive, whatever the database does."""

    async def get(self) -> web.Response:
        return web.json_response({"alive": True}, headers=_NOT_KEPT)


class ReadyView(View):
    """Ready (200), or not (503), and which part is the reason."""

    async def get(self) -> web.Response:
        app = self.request.app
        state = {
            **await app[READINESS].of_database(app[DATABASE]),
            "listener": "connected" if app[POLL_CACHE].is_synced else "disconnected",
        }
        is_ready = state == {"database": "writable", "schema": "current", "listener": "connected"}
        return web.json_response({"ready": is_ready, **state}, status=200 if is_ready else 503, headers=_NOT_KEPT)
