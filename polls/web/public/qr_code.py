"""QR codes of the URLs of polls."""

from typing import ClassVar

from aiohttp import web

from polls.web.http.origin import site_origin
from polls.web.http.page_cache import PRIVATE_NO_STORE
from polls.web.pages.base import PollView
from polls.web.pages.qr_code import qr_code

_FOR_A_DAY = "max-age=86400"


class QRCodeView(PollView):
    """The QR code of a poll's URL, as SVG."""

    kind: ClassVar[str] = "svg"
    content_type: ClassVar[str] = "image/svg+xml"

    async def get(self) -> web.StreamResponse:
        visible = await self.find()
        image = await qr_code(site_origin(self.request) + self.url("poll", slug=self.slug), self.kind)
        cache_control = _FOR_A_DAY if visible.poll.is_published else PRIVATE_NO_STORE
        headers = {"Cache-Control": cache_control}
        if robots := self.robots(visible):
            headers["X-Robots-Tag"] = robots
        return web.Response(body=image, content_type=self.content_type, headers=headers)


class QRCodePNGView(QRCodeView):
    """The same as PNG, for programs that take no SVG."""

    kind = "png"
    content_type = "image/png"
