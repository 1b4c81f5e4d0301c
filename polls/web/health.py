"""Whether this process is fit to serve, for those who send it requests."""

from aiohttp import web

from polls.domain.errors import PollsUnavailable
from polls.storage.condition import is_writable
from polls.web.base import View
from polls.web.keys import ENGINE, STANDINGS


class ReadyView(View):
    """Ready (200), or not (503), and which part is the reason."""

    async def get(self) -> web.Response:
        app = self.request.app
        try:
            database = "writable" if await is_writable(app[ENGINE]) else "read-only"
        except PollsUnavailable:
            database = "away"
        notices = "heard" if app[STANDINGS].is_trusted else "not heard"
        is_ready = (database, notices) == ("writable", "heard")
        return web.json_response(
            {"ready": is_ready, "database": database, "notices": notices},
            status=200 if is_ready else 503,
            headers={"Cache-Control": "no-store"},
        )
