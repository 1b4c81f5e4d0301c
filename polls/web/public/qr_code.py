"""QR codes of the URLs of polls."""

import asyncio
import io
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import ClassVar

import segno
from aiohttp import web

from polls.web.http.origin import site_origin
from polls.web.http.page_cache import PRIVATE_NO_STORE
from polls.web.pages.base import PollView

_FOR_A_DAY = "max-age=86400"
_PNG_WIDTH = 1000  # pixels at least: enough for print

# Drawing takes up to 250 ms. One thread of its own: many codes at once, for made-up hosts, would slow all requests.
_DRAWER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="qr")


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


async def qr_code(url: str, kind: str = "svg") -> bytes:
    """Return the QR code of `url` as an image of this kind, svg or png.

    It is dark on light in both themes, since scanners may not read it otherwise.
    """
    return await asyncio.get_running_loop().run_in_executor(_DRAWER, _draw, url, kind)


@lru_cache(maxsize=100)  # of 20 kB at most
def _draw(url: str, kind: str) -> bytes:
    code = segno.make_qr(url)
    image = io.BytesIO()
    if kind == "svg":
        code.save(image, kind, border=4, light="#fff", xmldecl=False, omitsize=True, svgclass=None, lineclass=None)
    else:
        modules, _ = code.symbol_size(border=4)
        code.save(image, kind, border=4, scale=-(-_PNG_WIDTH // modules))
    return image.getvalue()
