"""The presenter's page: results on a big screen, with a QR code for voters."""

import asyncio
import ipaddress
import re
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from urllib.parse import urlsplit

import segno
from aiohttp import web
from markupsafe import Markup

from polls.domain.visibility import ANONYMOUS
from polls.web.http.forwarded import client_scheme
from polls.web.http.page_cache import VARIANT_PAGES
from polls.web.keys import CONFIG
from polls.web.pages.base import PollView

# Drawing takes up to 250 ms. One thread of its own: many codes at once, for made-up hosts, would slow all requests.
_QR_DRAWER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="qr")

_HOST = re.compile(r"([A-Za-z0-9._-]{1,100}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")


class PresenterView(PollView):
    """The results of a poll in large type, with its URL and QR code."""

    async def get(self) -> web.StreamResponse:
        visible = await self.find()
        site = self.request.app[CONFIG].site.url or _requested_origin(self.request)
        path = self.url("poll", slug=self.slug)
        qr_code = await asyncio.get_running_loop().run_in_executor(_QR_DRAWER, _qr_code, site + path)
        return self.cached_page(
            "public/presenter.html",
            visible.poll,
            self.question_id,
            site,
            cache_control=self.cache_control(visible),
            pages=VARIANT_PAGES,  # the site may be any Host
            context=lambda: {
                "poll": visible.poll,
                "tally": visible.tally,
                "marks": ANONYMOUS.marks,
                "here": self.url("presenter", slug=self.slug),
                "poll_url": site + path,
                "site_without_scheme": site.partition("://")[2],
                "path": path,
                "is_local": _is_local(site),
                "qr": qr_code,
            },
        )


def _requested_origin(request: web.Request) -> str:
    """Return the scheme and host of the request. Raises 400 if its Host header is invalid."""
    host = request.headers.get("Host", "")
    origin = f"{client_scheme(request)}://{host}"
    try:
        is_valid = _HOST.fullmatch(host) and urlsplit(origin).port != 0
    except ValueError:  # an invalid IPv6 address in brackets, or a port out of range
        is_valid = False
    if not is_valid:
        raise web.HTTPBadRequest
    return origin


def _is_local(url: str) -> bool:
    """Return whether `url` is a loopback address, which other computers and phones can't open."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


@lru_cache(maxsize=100)  # of 20 kB at most
def _qr_code(url: str) -> Markup:
    return Markup(segno.make_qr(url).svg_inline(omitsize=True, border=4, svgclass=None, lineclass=None))  # nosec B704 # drawn by segno, and contains no text
