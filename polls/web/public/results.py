"""The results of a poll."""

import re
from collections.abc import Mapping

from aiohttp import hdrs, web

from polls.domain.visibility import VisiblePoll
from polls.live.score_cache import ScoredPoll
from polls.web.http.page_cache import PRIVATE_NO_STORE, RENDERED_PAGES, SHARED_ONE_SECOND, VARIANT_PAGES
from polls.web.keys import SCORE_CACHE
from polls.web.pages.base import PollView
from polls.web.pages.flash import delete_flash, read_vote_flash

_REVISION = re.compile("[0-9]{1,18}", re.ASCII)


class ResultsView(PollView):
    """The results of a poll, at the revision in the query parameter `after` or later.

    A voter is redirected here with the revision that counts their ballot, and is told so once.
    """

    async def get(self) -> web.StreamResponse:
        after = self._after() if self.request.rel_url.raw_query_string else 0
        voted = self._voted(after) if after else None
        visible = await self.find(after=after)
        if visible.hidden:
            after, voted = 0, None
        scored = await self.request.app[SCORE_CACHE].find(visible.poll) if visible.has_distribution else None
        variant = visible.variant
        is_same_for_all = visible.poll.is_published and not variant
        cache_control = (
            PRIVATE_NO_STORE if after else SHARED_ONE_SECOND if is_same_for_all else self.cache_control(visible)
        )
        response = self.cached_page(
            "public/results.html",
            scored or visible.poll,
            visible.poll.question.id,
            variant,
            voted,
            cache_control=cache_control,
            robots=self.robots(visible),
            pages=VARIANT_PAGES if variant or voted else RENDERED_PAGES,
            context=lambda: self._context(visible, scored, voted),
        )
        if voted and self.request.method == hdrs.METH_GET:  # after HEAD it is still to be shown
            delete_flash(self.request, response, path=self.url("poll", slug=self.slug))
        return response

    def _context(self, visible: VisiblePoll, scored: ScoredPoll | None, voted: str | None) -> Mapping[str, object]:
        return {
            **self.links(visible),
            "poll": visible.poll,
            "hidden": visible.hidden,
            "tally": visible.tally,
            "distribution": visible.distribution(scored.counts) if scored else None,
            "marks": visible.marks,
            "points": dict(visible.points),
            "voted": voted,
            "here": self.url("results", slug=self.slug),
        }

    def _voted(self, after: int) -> str | None:
        """Return "counted" or "changed" if the vote that led here is the one in the flash message, else None.

        Not any vote: another tab, or a preloaded page, must not take the message from the page that it is for.
        """
        flash = read_vote_flash(self.request)
        return flash.kind if flash and flash.number == after else None

    def _after(self) -> int:
        revision = _REVISION.fullmatch(self.request.query.get("after", ""))
        return int(revision[0]) if revision else 0
