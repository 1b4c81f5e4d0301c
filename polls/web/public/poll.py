"""A poll, as a form to vote with."""

from aiohttp import web

from polls.web.pages.base import PollView
from polls.web.pages.voter import ensure_voter_cookie


class DetailView(PollView):
    """A poll, as a form to vote with."""

    async def get(self) -> web.StreamResponse:
        seen = await self.find()
        response = self.page(
            "public/poll.html",
            seen.poll.question,  # stays the same when votes are counted
            seen.poll.question.id,
            seen.poll.is_closed,
            seen.poll.is_published,
            seen.marks,
            caching=self.caching(seen),
            context=lambda: {
                "poll": seen.poll,
                "error": None,
                "marks": seen.marks,
                "has_voted": bool(seen.marks),
                "here": self.url("poll", slug=self.slug),
            },
        )
        ensure_voter_cookie(self.request, response)
        return response
