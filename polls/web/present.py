"""The presenter's page: results at the size of a room, and the way to them for phones."""

import ipaddress
import re
from functools import lru_cache
from urllib.parse import urlsplit

import segno
from aiohttp import web
from markupsafe import Markup

from polls.web.base import PollView
from polls.web.keys import CONFIG
from polls.web.rendered import FOR_ONE
from polls.web.templating import render
from polls.web.view import STRANGER

_HOST = re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")


class PresentView(PollView):
    """Results for a big screen, with a QR code that leads to the poll."""

    async def get(self) -> web.Response:
        seen = await self.find()
        site = self.request.app[CONFIG].site.url or _asked(self.request)
        path = self.url("poll", address=self.address)
        invitation = f"{site}{path}"
        response = render(
            self.request,
            "present.html",
            status=web.HTTPOk.status_code,
            poll=seen.poll,
            tally=seen.tally,
            marks=STRANGER.marks,
            here=self.url("present", address=self.address),
            invitation=invitation,
            site_in_short=site.partition("://")[2],
            path=path,
            is_local=_is_local(invitation),
            qr=_qr_code(invitation),
        )
        response.headers["Cache-Control"] = FOR_ONE
        return response


def _asked(request: web.Request) -> str:
    """The scheme and host that the request was sent to."""
    host = request.headers.get("Host", "")
    if not _HOST.fullmatch(host):
        raise web.HTTPBadRequest
    return f"{request.scheme}://{host}"


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
