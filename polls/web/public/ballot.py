"""The page of a voter's own ballot."""

from aiohttp import hdrs, web

from polls.web.http.page_cache import PRIVATE_NO_STORE, VARIANT_PAGES
from polls.web.pages.base import PollView
from polls.web.pages.flash import delete_flash, read_vote_flash


class BallotView(PollView):
    """A page with this browser's vote, as its cookie says, and with when the results will be shown.

    A voter is redirected here if the results are hidden from voters, and is told once that the vote is counted.
    """

    async def get(self) -> web.StreamResponse:
        visible = await self.find()
        flash = read_vote_flash(self.request) if visible.marks else None
        voted = flash.kind if flash else None
        response = self.cached_page(
            "public/ballot.html",
            visible.poll,
            visible.poll.question.id,
            visible.variant,
            voted,
            cache_control=PRIVATE_NO_STORE if voted else self.cache_control(visible),
            pages=VARIANT_PAGES,
            context=lambda: {
                **self.links(visible),
                "poll": visible.poll,
                "hidden": visible.hidden,
                "marks": visible.marks,
                "points": dict(visible.points),
                "voted": voted,
                "here": self.url("ballot", slug=self.slug),
            },
        )
        if voted and self.request.method == hdrs.METH_GET:  # after HEAD it is still to be shown
            delete_flash(self.request, response, path=self.url("poll", slug=self.slug))
        return response
