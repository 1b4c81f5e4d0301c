"""The page of a poll: its form for voting."""

from aiohttp import web

from polls.web.http.page_cache import RENDERED_PAGES, VARIANT_PAGES
from polls.web.pages.base import PollView
from polls.web.pages.voter import ensure_voter_cookie


class PollPageView(PollView):
    """A poll with a form for voting, or the statement that it is closed."""

    async def get(self) -> web.StreamResponse:
        visible = await self.find()
        variant = visible.variant
        response = self.cached_page(
            "public/poll.html",
            visible.poll.question,  # the same object when votes are counted: the page shows none
            visible.poll.question.id,
            visible.poll.is_closed,
            visible.poll.is_published,
            variant,
            cache_control=self.cache_control(visible),
            robots=self.robots(visible),
            pages=VARIANT_PAGES if variant else RENDERED_PAGES,
            context=lambda: {
                **self.links(visible),
                "poll": visible.poll,
                "error": None,
                "marks": visible.marks,
                "points": dict(visible.points),
                "has_voted": bool(visible.marks),
                "here": self.url("poll", slug=self.slug),
            },
        )
        ensure_voter_cookie(self.request, response)
        return response
