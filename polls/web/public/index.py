"""The list of the latest polls."""

from aiohttp import web

from polls.web.http.numbers import number
from polls.web.http.page_cache import FOR_ALL
from polls.web.keys import POLL_CACHE
from polls.web.pages.base import View

PAGE_SIZE = 5


class IndexView(View):
    """The latest polls, newest first, five at a time."""

    async def get(self) -> web.StreamResponse:
        page = self._page() if self.request.rel_url.raw_query_string else 1
        # One more than fits tells whether there are older ones.
        found = await self.request.app[POLL_CACHE].latest(skip=(page - 1) * PAGE_SIZE, limit=PAGE_SIZE + 1)
        if page > 1 and not found:
            raise web.HTTPNotFound
        return self.page(
            "public/index.html",
            found,
            page,
            caching=FOR_ALL,
            context=lambda: {
                "questions": found[:PAGE_SIZE],
                "page": page,
                "has_older": len(found) > PAGE_SIZE,
                "here": self.url("index") + ("" if page == 1 else f"?page={page}"),
            },
        )

    def _page(self) -> int:
        page = number(self.request.query.get("page", "1"))
        if page is None:
            raise web.HTTPNotFound
        return page


class EntranceView(View):
    """The address that people type below a prefix: the list's without its last stroke."""

    async def get(self) -> web.StreamResponse:
        raise web.HTTPSeeOther(self.url("index"))
