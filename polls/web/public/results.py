"""The results of a poll."""

import re

from aiohttp import web

from polls.web.http.page_cache import PRIVATE_NO_STORE, RENDERED_PAGES, SHARED_ONE_SECOND, VARIANT_PAGES
from polls.web.pages.base import PollView

_REVISION = re.compile("[0-9]{1,18}", re.ASCII)


class ResultsView(PollView):
    """The results of a poll, at the revision in the query parameter `after` or later.

    A voter is redirected here with the revision that counts their ballot.
    """

    async def get(self) -> web.StreamResponse:
        after = self._after() if self.request.rel_url.raw_query_string else 0
        visible = await self.find(after=after)
        is_same_for_all = visible.poll.is_published and not visible.marks
        cache_control = (
            PRIVATE_NO_STORE if after else SHARED_ONE_SECOND if is_same_for_all else self.cache_control(visible)
        )
        return self.cached_page(
            "public/results.html",
            visible.poll,
            visible.poll.question.id,
            visible.marks,
            cache_control=cache_control,
            pages=VARIANT_PAGES if visible.marks else RENDERED_PAGES,
            context=lambda: {
                "poll": visible.poll,
                "tally": visible.tally,
                "marks": visible.marks,
                "here": self.url("results", slug=self.slug),
            },
        )

    def _after(self) -> int:
        revision = _REVISION.fullmatch(self.request.query.get("after", ""))
        return int(revision[0]) if revision else 0
