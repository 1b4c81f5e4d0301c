"""The page that shares a poll: its URL, its QR code as image files, and a text to send."""

from aiohttp import web

from polls.web.http.origin import is_local, site_origin
from polls.web.http.page_cache import VARIANT_PAGES
from polls.web.pages.base import PollView


class ShareView(PollView):
    """The ways to share a poll; none of them needs JavaScript."""

    async def get(self) -> web.StreamResponse:
        visible = await self.find()
        site = site_origin(self.request)
        return self.cached_page(
            "public/share.html",
            visible.poll.question,  # the same object when votes are counted: the page shows none
            visible.poll.question.id,
            visible.poll.is_closed,
            visible.poll.is_published,
            visible.is_admin,
            visible.may_edit,
            site,
            cache_control=self.cache_control(visible),
            robots=self.robots(visible),
            pages=VARIANT_PAGES,  # the site may be any Host
            compress=visible.person is None,
            context=lambda: {
                **self.links(visible),
                "poll": visible.poll,
                "origin": site,
                "is_local": is_local(site),
                "here": self.url("share", slug=self.slug),
            },
        )
