"""The results of a poll."""

import re

from aiohttp import web

from polls.web.http.page_cache import FOR_ALL, FOR_NOW
from polls.web.pages.base import PollView

_REVISION = re.compile("[0-9]{1,18}", re.ASCII)


class ResultsView(PollView):
    """How a poll stands. Whoever has just voted comes with `after`, the revision that counts their ballot."""

    async def get(self) -> web.StreamResponse:
        after = self._after() if self.request.rel_url.raw_query_string else 0
        seen = await self.find(after=after)
        is_for_all = seen.poll.is_published and not seen.marks
        caching = FOR_NOW if after else FOR_ALL if is_for_all else self.caching(seen)
        return self.page(
            "public/results.html",
            seen.poll,
            seen.poll.question.id,
            seen.marks,
            caching=caching,
            context=lambda: {
                "poll": seen.poll,
                "tally": seen.tally,
                "marks": seen.marks,
                "here": self.url("results", slug=self.slug),
            },
        )

    def _after(self) -> int:
        promised = _REVISION.fullmatch(self.request.query.get("after", ""))
        return int(promised[0]) if promised else 0
