"""The list of the latest polls."""

from aiohttp import web

from polls.web.http.page_cache import SHARED_ONE_SECOND
from polls.web.keys import POLL_CACHE
from polls.web.pages.base import View

PAGE_SIZE = 5


class IndexView(View):
    """The list of published polls, newest first, PAGE_SIZE a page."""

    async def get(self) -> web.StreamResponse:
        page = self.page_number if self.request.rel_url.raw_query_string else 1
        # One more than a page shows, to know whether there are older ones.
        questions = await self.request.app[POLL_CACHE].latest(skip=(page - 1) * PAGE_SIZE, limit=PAGE_SIZE + 1)
        if page > 1 and not questions:
            raise web.HTTPNotFound
        return self.cached_page(
            "public/index.html",
            questions,
            page,
            cache_control=SHARED_ONE_SECOND,
            context=lambda: {
                "questions": questions[:PAGE_SIZE],
                "page": page,
                "has_older": len(questions) > PAGE_SIZE,
                "here": self.url("index") + ("" if page == 1 else f"?page={page}"),
            },
        )
