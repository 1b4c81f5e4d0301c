"""Compression with gzip, of what is kept in memory."""

import gzip
from functools import lru_cache

from aiohttp import hdrs, web

from polls.web.http.negotiation import MAX_LENGTH, preferences

MIN_SIZE = 1_000  # bytes; less fits into a packet either way
_LEVEL = 6  # of nine: the level 9 saves less than 1 % of a page


def accepts_gzip(request: web.Request) -> bool:
    """Return whether the client accepts content compressed with gzip."""
    accept_encoding = request.headers.get(hdrs.ACCEPT_ENCODING)
    return accept_encoding is not None and _accepts_gzip(accept_encoding[:MAX_LENGTH])


def compress(content: bytes) -> bytes:
    """Return `content` in the format gzip: the same bytes for the same content, for ETags."""
    return gzip.compress(content, _LEVEL, mtime=0)


@lru_cache(maxsize=100)  # of MAX_LENGTH characters each; browsers send one of a few headers
def _accepts_gzip(accept_encoding: str) -> bool:
    return "gzip" in preferences(accept_encoding)
