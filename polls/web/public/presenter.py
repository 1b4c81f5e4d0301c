"""The presenter's page: results on a big screen, with a QR code for voters."""

from aiohttp import web
from markupsafe import Markup

from polls.domain.visibility import VisiblePoll
from polls.web.http.origin import is_local, site_origin
from polls.web.http.page_cache import VARIANT_PAGES
from polls.web.pages.base import PollView
from polls.web.pages.qr_code import qr_code
from polls.web.public.big_screen import MAX_ROWS, leading_first, text_sizes


class PresenterView(PollView):
    """The results of a poll in large type, with its URL and QR code."""

    async def get(self) -> web.StreamResponse:
        viewers = await self.find()
        visible = viewers.as_public  # all people in the room see it
        reveal_url = self._reveal_url(viewers)
        site = site_origin(self.request)
        path = self.url("poll", slug=self.slug)
        qr = Markup((await qr_code(site + path)).decode())  # nosec B704 # drawn by segno, and contains no text
        return self.cached_page(
            "public/presenter.html",
            visible.poll,
            visible.poll.question.id,
            site,
            reveal_url,
            cache_control=self.cache_control(visible),
            robots=self.robots(visible),
            pages=VARIANT_PAGES,  # the site may be any Host
            compress=True,
            context=lambda: {
                "poll": visible.poll,
                "tally": visible.tally and leading_first(visible.tally),
                "hidden": visible.hidden,
                "reveal_url": reveal_url,
                "marks": visible.marks,
                "points": {},
                "here": self.url("presenter", slug=self.slug),
                "poll_url": site + path,
                "site_without_scheme": site.partition("://")[2],
                "path": path,
                "is_local": is_local(site),
                "qr": qr,
                "hidden_rows": max(0, len(visible.poll.choices) - MAX_ROWS),
                **text_sizes(visible.poll),
            },
        )

    def _reveal_url(self, viewers: VisiblePoll) -> str | None:
        """Return where the viewer may show the results to everyone and is led back from, None if they may not."""
        if not viewers.may_reveal:
            return None
        if viewers.is_admin:
            path = self.url("poll_action", id=str(viewers.poll.question.id), action="reveal")
        else:
            path = self.url("own_poll_action", slug=self.slug, action="reveal")
        return f"{path}?back={self.url('presenter', slug=self.slug)}"
