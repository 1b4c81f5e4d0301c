"""A cache of rendered pages, as bytes with an ETag."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from http import HTTPStatus
from time import monotonic
from typing import NamedTuple

from aiohttp import hdrs, web

from polls.web.http.prebuilt import PrebuiltAnswer

MAX_BYTES = 64 * 1024 * 1024  # of all cached pages together
MAX_VARIANT_BYTES = 8 * 1024 * 1024  # of those in VARIANT_PAGES
MAX_AGE = 60  # seconds until a page is rendered again: it may contain words such as "in 2 hours"

# Values of Cache-Control.
SHARED_ONE_SECOND = "max-age=0, s-maxage=1"  # shared caches such as nginx may reuse the page for a second
PRIVATE_NO_CACHE = "private, no-cache"
PRIVATE_NO_STORE = "private, no-store"
NO_STORE = "no-store"

_CONTENT_HEADERS = {"Content-Type", "Content-Language", "Content-Encoding"}


class Page:
    """A body with its headers, serialized as 200 and as 304 response."""

    __slots__ = ("_etag", "_not_modified", "_ok")

    def __init__(self, body: bytes, headers: Mapping[str, str]) -> None:
        # A hash of the content, not the poll's revision: that would disclose how many have voted.
        self._etag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
        headers = {"ETag": self._etag, **headers}
        self._ok = PrebuiltAnswer(HTTPStatus.OK, headers, body)
        # A response without content doesn't describe it (RFC 9110, section 15.4.5).
        without_content = {name: headers[name] for name in headers if name not in _CONTENT_HEADERS}
        self._not_modified = PrebuiltAnswer(HTTPStatus.NOT_MODIFIED, without_content)

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self._ok.size

    def answer(self, request: web.Request) -> web.StreamResponse:
        """Return the page, or 304 if the client's If-None-Match has its ETag."""
        if_none_match = request.headers.get(hdrs.IF_NONE_MATCH)
        if if_none_match is not None and self._matches(if_none_match):
            return self._not_modified.answer(request)
        return self._ok.answer(request)

    def _matches(self, if_none_match: str) -> bool:
        # Weak comparison (RFC 9110, section 8.8.3.2): a proxy that compresses a page makes its ETag a weak one.
        etags = if_none_match.split(",")
        return if_none_match.strip() == "*" or self._etag in {etag.strip().removeprefix("W/") for etag in etags}


class _Entry(NamedTuple):
    source: object
    page: Page
    expires_at: float


class RenderedPages:
    """An LRU cache of pages, limited to `max_bytes` and MAX_AGE."""

    def __init__(self, max_bytes: int, clock: Callable[[], float] = monotonic) -> None:
        self._max_bytes = max_bytes
        self._clock = clock
        self._bytes = 0
        self._pages: OrderedDict[Hashable, _Entry] = OrderedDict()

    @property
    def size(self) -> int:
        """Size of all pages in bytes."""
        return self._bytes

    def get(self, key: Hashable, source: object) -> Page | None:
        """Return the page stored under `key` if it was rendered lately from this `source`, the same object."""
        entry = self._pages.get(key)
        if entry is None or entry.source is not source or entry.expires_at <= self._clock():
            return None
        self._pages.move_to_end(key)
        return entry.page

    def put(self, key: Hashable, source: object, page: Page) -> None:
        """Store a page, and evict the least recently used ones beyond `max_bytes`."""
        if replaced := self._pages.pop(key, None):
            self._bytes -= replaced.page.size
        self._pages[key] = _Entry(source, page, self._clock() + MAX_AGE)
        self._bytes += page.size
        while self._bytes > self._max_bytes:
            _, oldest = self._pages.popitem(last=False)
            self._bytes -= oldest.page.size


RENDERED_PAGES = web.AppKey("rendered_pages", RenderedPages)
# Pages that depend on a header of the request, such as a voter's own marks: with made-up headers, one client could
# otherwise evict all other pages.
VARIANT_PAGES = web.AppKey("variant_pages", RenderedPages)
