"""QR codes of the URLs of polls."""

import asyncio
import io
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import segno
from aiohttp import web

from polls.web.http.origin import site_origin
from polls.web.http.page_cache import PRIVATE_NO_STORE
from polls.web.pages.base import PollView

_FOR_A_DAY = "max-age=86400"

# Drawing takes up to 250 ms. One thread of its own: many codes at once, for made-up hosts, would slow all requests.
_DRAWER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="qr")


class QRCodeView(PollView):
    """The QR code of a poll's URL, as an image."""

    async def get(self) -> web.StreamResponse:
        visible = await self.find()
        svg = await qr_code(site_origin(self.request) + self.url("poll", slug=self.slug))
        cache_control = _FOR_A_DAY if visible.poll.is_published else PRIVATE_NO_STORE
        return web.Response(body=svg, content_type="image/svg+xml", headers={"Cache-Control": cache_control})


async def qr_code(url: str) -> bytes:
    """Return the QR code of `url` as SVG: dark on light in both themes, since scanners may not read it otherwise."""
    return await asyncio.get_running_loop().run_in_executor(_DRAWER, _draw, url)


@lru_cache(maxsize=100)  # of 20 kB at most
def _draw(url: str) -> bytes:
    svg = io.BytesIO()
    segno.make_qr(url).save(
        svg, kind="svg", border=4, light="#fff", xmldecl=False, omitsize=True, svgclass=None, lineclass=None
    )
    return svg.getvalue()
