"""A cache of rendered pages, as bytes with an ETag."""

import hashlib
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from http import HTTPStatus

from aiohttp import hdrs, web

from polls.web.http.prebuilt import PrebuiltAnswer

MOST_BYTES = 64 * 1024 * 1024  # of pages in memory

FOR_ALL = "max-age=0, s-maxage=1"  # a proxy may keep the page for a second
FOR_ONE = "private, no-cache"
FOR_NOW = "private, no-store"


class Page:
    """A page with its headers, in the form in which it is sent."""

    __slots__ = ("_etag", "_found", "_unchanged")

    def __init__(self, markup: str, headers: Mapping[str, str]) -> None:
        body = markup.encode()
        # Tells nothing but whether it is the same page: a revision would tell how many have voted.
        self._etag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
        headers = {"ETag": self._etag, **headers}
        self._found = PrebuiltAnswer(HTTPStatus.OK, headers, body)
        self._unchanged = PrebuiltAnswer(HTTPStatus.NOT_MODIFIED, headers)

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


RENDERED_PAGES = web.AppKey("page_cache", RenderedPages)
