"""Answers as bytes: a page is made once of what it shows, and then sent as it is until that changes."""

import hashlib
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import time

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.abc import AbstractStreamWriter

from polls.web.request_id import REQUEST_ID

MOST_BYTES = 64 * 1024 * 1024  # of pages in memory

FOR_ALL = "max-age=0, s-maxage=1"  # a proxy may keep the page for a second
FOR_ONE = "private, no-cache"
FOR_NOW = "private, no-store"

_OWN = f"{REQUEST_ID}: "


class Ready:
    """A status, headers and a body, in the form in which they are sent."""

    __slots__ = ("_body", "_head", "_headers", "_status")

    def __init__(self, status: HTTPStatus, headers: Mapping[str, str], body: bytes = b"") -> None:
        self._status = status
        self._headers = headers
        self._body = body
        length = {} if status is HTTPStatus.NOT_MODIFIED else {"Content-Length": str(len(body))}
        self._head = _head(status, **headers, **length)

    @property
    def size(self) -> int:
        """How many bytes it takes."""
        return len(self._head) + len(self._body)

    def answer(self, request: web.Request) -> web.StreamResponse:
        """A response to `request`, on which more headers may be set."""
        if _is_plain(request):
            return ReadyResponse(self._status, self._head, self._body)
        return web.Response(status=self._status, body=self._body or None, headers=self._headers)


class Page:
    """A page with its headers, in the form in which it is sent."""

    __slots__ = ("_etag", "_found", "_unchanged")

    def __init__(self, markup: str, headers: Mapping[str, str]) -> None:
        body = markup.encode()
        # Tells nothing but whether it is the same page: a revision would tell how many have voted.
        self._etag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
        headers = {"ETag": self._etag, **headers}
        self._found = Ready(HTTPStatus.OK, headers, body)
        self._unchanged = Ready(HTTPStatus.NOT_MODIFIED, headers)

    @property
    def size(self) -> int:
        """How many bytes it takes."""
        return self._found.size

    def answer(self, request: web.Request) -> web.StreamResponse:
        """The page, or that it hasn't changed since the visitor got it."""
        known = request.headers.get(hdrs.IF_NONE_MATCH)
        if known is not None and self._is_among(known):
            return self._unchanged.answer(request)
        return self._found.answer(request)

    def _is_among(self, names: str) -> bool:
        # Compared weakly (RFC 9110, section 8.8.3.2): a proxy that compresses a page weakens its name.
        return names.strip() == "*" or self._etag in {name.strip().removeprefix("W/") for name in names.split(",")}


class ReadyResponse(web.StreamResponse):
    """An answer that is bytes already, headers and all. Those that are set on it go out beside them.

    `request_id` is the one header that each answer has for itself.
    aiohttp's own would put all headers together anew, which takes a third of the work that a page from memory costs.
    """

    def __init__(self, status: int, head: bytes, body: bytes) -> None:
        super().__init__(status=status)
        self._head = head
        self._ready_body = body
        self._writer: AbstractStreamWriter | None = None
        self.request_id = ""

    @property
    def keep_alive(self) -> bool:
        return True

    @property
    def body_length(self) -> int:
        return self._writer.output_size if self._writer else 0

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        self._writer = request.writer
        return self._writer

    async def write_eof(self, data: bytes = b"") -> None:  # noqa: ARG002 - there is nothing to add
        writer = self._writer
        assert writer is not None  # noqa: S101
        own = f"{_OWN}{self.request_id}\r\n"
        if self.headers:
            own += "".join([f"{name}: {value}\r\n" for name, value in self.headers.items()])
        await writer.write_eof(b"%b%b%b\r\n%b" % (self._head, _date(int(time())), own.encode(), self._ready_body))


class RenderedPages:
    """Pages by what they are of, up to a number of bytes; those that were asked for longest ago are forgotten first."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._pages: OrderedDict[Hashable, tuple[object, Page]] = OrderedDict()

    def get(self, name: Hashable, source: object) -> Page | None:
        """The page called `name`, if it was made of this very `source`."""
        found = self._pages.get(name)
        if found is None or found[0] is not source:
            return None
        self._pages.move_to_end(name)
        return found[1]

    def put(self, name: Hashable, source: object, page: Page) -> None:
        """Remember a page."""
        if before := self._pages.pop(name, None):
            self._bytes -= before[1].size
        self._pages[name] = source, page
        self._bytes += page.size
        while self._bytes > self._most_bytes:
            _, (_, oldest) = self._pages.popitem(last=False)
            self._bytes -= oldest.size


def _is_plain(request: web.Request) -> bool:
    """Whether a request may be answered with bytes as they are: aiohttp has nothing to decide, and nobody to ask."""
    if request.method == hdrs.METH_HEAD or request.version != HttpVersion11 or not request.keep_alive:
        return False
    for app in request.match_info.apps:  # noqa: SIM110 - any() takes twice as long
        if app.on_response_prepare:
            return False
    return True


def _head(status: HTTPStatus, **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} {status.phrase}", *(f"{name}: {value}" for name, value in headers.items()), ""]
    return "\r\n".join(lines).encode()


@lru_cache(maxsize=1)
def _date(second: int) -> bytes:
    return f"Date: {formatdate(second, usegmt=True)}\r\n".encode()
