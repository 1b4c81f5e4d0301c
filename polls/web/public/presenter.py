"""The presenter's page: results at the size of a room, and the way to them for phones."""

import asyncio
import ipaddress
import re
from functools import lru_cache
from urllib.parse import urlsplit

import segno
from aiohttp import web
from markupsafe import Markup

from polls.domain.visibility import ANONYMOUS
from polls.web.http.forwarded import client_scheme
from polls.web.keys import CONFIG
from polls.web.pages.base import PollView

_HOST = re.compile(r"([A-Za-z0-9._-]{1,100}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")


class PresenterView(PollView):
    """Results for a big screen, with a QR code that leads to the poll."""

    async def get(self) -> web.StreamResponse:
        seen = await self.find()
        site = self.request.app[CONFIG].site.url or _asked(self.request)
        path = self.url("poll", slug=self.slug)
        qr_code = await asyncio.to_thread(_qr_code, site + path)  # a quarter of a second for a long address
        return self.page(
            "public/presenter.html",
            seen.poll,
            self.question_id,
            site,
            caching=self.caching(seen),
            context=lambda: {
                "poll": seen.poll,
                "tally": seen.tally,
                "marks": ANONYMOUS.marks,
                "here": self.url("presenter", slug=self.slug),
                "invitation": site + path,
                "site_in_short": site.partition("://")[2],
                "path": path,
                "is_local": _is_local(site),
                "qr": qr_code,
            },
        )


def _asked(request: web.Request) -> str:
    """The scheme and host that the visitor asked."""
    host = request.headers.get("Host", "")
    address = f"{client_scheme(request)}://{host}"
    try:
        is_one = _HOST.fullmatch(host) and urlsplit(address).port != 0
    except ValueError:  # brackets around what is no address of version 6, or a port that is none
        is_one = False
    if not is_one:
        raise web.HTTPBadRequest
    return address


def _is_local(address: str) -> bool:
    """Whether an address leads everybody to their own computer."""
    host = urlsplit(address).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


@lru_cache(maxsize=100)
def _qr_code(address: str) -> Markup:
    """A QR code (ISO/IEC 18004) that leads to `address`, as SVG."""
    return Markup(segno.make_qr(address).svg_inline(omitsize=True, border=4, svgclass=None, lineclass=None))  # noqa: S704 - drawn by segno, and contains no text
