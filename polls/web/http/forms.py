"""Reading of posted forms: raw fields, with limits on size and time."""

import asyncio
from typing import cast

from aiohttp import BodyPartReader, web
from multidict import MultiDict, MultiMapping

from polls.domain.draft import replace_unprintable
from polls.web.keys import CONFIG

MAX_BODY = 64 * 1024  # bytes; our forms need a few dozen
_CHARSETS = frozenset({"utf-8", "utf8", "us-ascii"})
_MAX_PARTS = 1000  # of multipart forms; aiohttp's own limit for other forms


class MalformedForm(Exception):
    """The body of a request can't be parsed as a form."""


async def read_form(request: web.Request, *, max_size: int = MAX_BODY) -> MultiMapping[str]:
    """Return the text fields of a posted form, none if the body isn't a form. Ignores files: our forms send none.

    Raises MalformedForm, and aiohttp's errors 413 beyond `max_size` bytes and 408 after `limits.body_timeout`.
    """
    # aiohttp checks only the limit of the outermost application, which isn't ours if polls is a sub-application.
    if (size := request.content_length or 0) > max_size:
        raise web.HTTPRequestEntityTooLarge(max_size, size)
    # Browsers send forms in the encoding of our pages, UTF-8. Some of Python's codecs take minutes to decode, or yield
    # lone surrogates.
    if (request.charset or "utf-8").lower() not in _CHARSETS:
        raise MalformedForm
    if max_size != MAX_BODY:
        request = request.clone(client_max_size=max_size)
    try:
        if request.content.is_eof():  # the usual case for a vote: the body has arrived with the headers
            return await _fields(request, max_size)
        async with asyncio.timeout(request.app[CONFIG].limits.body_timeout):
            return await _fields(request, max_size)
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    except (web.HTTPException, MalformedForm):
        raise
    except Exception as error:
        # Missing boundaries, broken encodings: aiohttp raises many types for what a client may send.
        raise MalformedForm from error


async def _fields(request: web.Request, max_size: int) -> MultiMapping[str]:
    if request.content_type == "multipart/form-data":
        # Not request.post(): it decodes each part with the charset that the part names.
        return await _multipart_fields(request, max_size)
    return cast(MultiMapping[str], await request.post())


async def _multipart_fields(request: web.Request, max_size: int) -> MultiMapping[str]:
    form: MultiDict[str] = MultiDict()
    parts = 0
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader) or part.name is None:
            raise MalformedForm
        parts += 1
        if parts > _MAX_PARTS:
            raise web.HTTPRequestEntityTooLarge(max_size, request.content.total_bytes)
        content = bytearray()
        while chunk := await part.read_chunk():
            content += chunk
            if request.content.total_bytes > max_size:
                raise web.HTTPRequestEntityTooLarge(max_size, request.content.total_bytes)
        if part.filename is None:
            form.add(part.name, content.decode())
    return form


def text_field(form: MultiMapping[str], name: str) -> str:
    """Return a field with unprintable characters replaced (`replace_unprintable`), empty if it is missing."""
    return replace_unprintable(form.get(name, ""))
