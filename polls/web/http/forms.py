"""Reading of posted forms: raw fields, with limits on size and time."""

import asyncio
from io import BytesIO

from aiohttp import hdrs, web
from multidict import MultiDict, MultiMapping
from multipart import MultipartParser, parse_options_header
from yarl import query_to_pairs

from polls.domain.draft import replace_unprintable
from polls.web.keys import CONFIG

MAX_BODY = 16 * 1024  # bytes; a user name and the longest password, percent-encoded, need 14 kB, a ballot 2 kB
_CHARSETS = frozenset({"utf-8", "utf8", "us-ascii"})
_MAX_FIELDS = 1000


class MalformedForm(Exception):
    """The body of a request can't be parsed as a form."""


async def read_form(request: web.Request, *, max_size: int = MAX_BODY) -> MultiMapping[str]:
    """Return the text fields of a posted form; a body of another type has no fields. Ignores files.

    The body is read to its end, then parsed: each of the two is bounded by `max_size` bytes.
    Raises MalformedForm, and aiohttp's errors 415 for a compressed body, whose size is unknown before it is
    decompressed, 413 beyond `max_size` bytes, and 408 after `limits.body_timeout`.
    """
    if hdrs.CONTENT_ENCODING in request.headers:
        raise web.HTTPUnsupportedMediaType(headers={hdrs.ACCEPT_ENCODING: "identity"})
    # aiohttp checks only the limit of the outermost application, which isn't ours if polls is a sub-application.
    if (size := request.content_length or 0) > max_size:
        raise web.HTTPRequestEntityTooLarge(max_size, size)
    # Browsers send forms in the encoding of our pages, UTF-8. Some of Python's codecs take minutes to decode, or yield
    # lone surrogates.
    if (request.charset or "utf-8").lower() not in _CHARSETS:
        raise MalformedForm
    parse = _PARSERS.get(request.content_type)
    if parse is None:
        return MultiDict()
    try:
        return parse(await _read_body(request, max_size), request.headers[hdrs.CONTENT_TYPE])
    except web.HTTPException:
        raise
    except Exception as error:
        # Missing boundaries, broken encodings: parsers raise many types for what a client may send.
        raise MalformedForm from error


async def _read_body(request: web.Request, max_size: int) -> bytes:
    if request.content.is_eof():  # the usual case for a vote: the body has arrived with the headers
        body = request.content.read_nowait()
        if len(body) > max_size:  # a chunked one has no length in its headers
            raise web.HTTPRequestEntityTooLarge(max_size, len(body))
        return body
    if max_size != MAX_BODY:
        request = request.clone(client_max_size=max_size)
    try:
        async with asyncio.timeout(request.app[CONFIG].limits.body_timeout):
            return await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout from None


def _parse_urlencoded(body: bytes, _content_type: str) -> MultiMapping[str]:
    # Not request.post(), which reads the body in a loop of coroutines: with it a vote had about 5 % more instructions.
    if (separators := body.count(b"&")) >= _MAX_FIELDS:
        raise web.HTTPRequestEntityTooLarge(_MAX_FIELDS, separators + 1)
    return MultiDict(query_to_pairs(body.rstrip().decode()))


def _parse_multipart(body: bytes, content_type: str) -> MultiMapping[str]:
    form: MultiDict[str] = MultiDict()
    _, options = parse_options_header(content_type)
    size = len(body)
    in_memory = {"spool_limit": size, "memory_limit": size}
    for part in MultipartParser(BytesIO(body), options["boundary"], size, part_limit=_MAX_FIELDS, **in_memory):
        if part.name is None:
            raise MalformedForm
        if part.filename is None:
            form.add(part.name, part.raw.decode())
    return form


_PARSERS = {"application/x-www-form-urlencoded": _parse_urlencoded, "multipart/form-data": _parse_multipart}


def text_field(form: MultiMapping[str], name: str) -> str:
    """Return a field with unprintable characters replaced (`replace_unprintable`), empty if it is missing."""
    return replace_unprintable(form.get(name, ""))


def multiline_field(form: MultiMapping[str], name: str) -> str:
    r"""Return a field as `text_field` does, but with its line breaks, as \n: browsers send \r\n."""
    lines = form.get(name, "").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(map(replace_unprintable, lines))
