"""The public pages: the list of polls, a poll, its results."""

import re

from aiohttp import web

from polls.web.base import PollView, View
from polls.web.keys import STANDINGS
from polls.web.numbers import number
from polls.web.rendered import FOR_ALL, FOR_NOW
from polls.web.voter import introduce_voter

PAGE_SIZE = 5

_REVISION = re.compile("[0-9]{1,18}", re.ASCII)


class IndexView(View):
    """The latest polls, newest first, five at a time."""

    async def get(self) -> web.StreamResponse:
        page = self._page() if self.request.rel_url.raw_query_string else 1
        # One more than fits tells whether there are older ones.
        found = await self.request.app[STANDINGS].latest(skip=(page - 1) * PAGE_SIZE, limit=PAGE_SIZE + 1)
        if page > 1 and not found:
            raise web.HTTPNotFound
        return self.page(
            "index.html",
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


class DetailView(PollView):
    """A poll, as a form to vote with."""

    async def get(self) -> web.StreamResponse:
        seen = await self.find()
        response = self.page(
            "detail.html",
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
                "here": self.url("poll", address=self.address),
            },
        )
        introduce_voter(self.request, response)
        return response


class ResultsView(PollView):
    """How a poll stands. Whoever has just voted comes with `after`, the revision that counts their ballot."""

    async def get(self) -> web.StreamResponse:
        after = self._after() if self.request.rel_url.raw_query_string else 0
        seen = await self.find(after=after)
        is_for_all = seen.poll.is_published and not seen.marks
        caching = FOR_NOW if after else FOR_ALL if is_for_all else self.caching(seen)
        return self.page(
            "results.html",
            seen.poll,
            seen.poll.question.id,
            seen.marks,
            caching=caching,
            context=lambda: {
                "poll": seen.poll,
                "tally": seen.tally,
                "marks": seen.marks,
                "here": self.url("results", address=self.address),
            },
        )

    def _after(self) -> int:
        promised = _REVISION.fullmatch(self.request.query.get("after", ""))
        return int(promised[0]) if promised else 0
