"""Read posted forms: raw fields, within limits."""

import asyncio
from typing import cast

from aiohttp import BodyPartReader, web
from multidict import MultiDict, MultiMapping

from polls.domain.draft import legible
from polls.web.keys import CONFIG

MAX_BODY = 64 * 1024  # bytes; our forms need a few dozen
_CHARSETS = frozenset({"utf-8", "utf8", "us-ascii"})
_MOST_PARTS = 1000  # as many fields as aiohttp takes of other forms


class MalformedForm(Exception):
    """The body of a request can't be read as a form."""


class SlowForm(Exception):
    """The body of a request has not come in time."""


async def read_form(request: web.Request, *, most: int = MAX_BODY) -> MultiMapping[str]:
    """The texts in a posted form; none where the body is no form. Files are passed over: no form of ours sends any.

    Raises MalformedForm, SlowForm, and aiohttp's 413 for more than `most` bytes.
    """
    # An application that we are mounted in has a limit of its own, and aiohttp asks only that.
    if (size := request.content_length or 0) > most:
        raise web.HTTPRequestEntityTooLarge(most, size)
    # Every page is UTF-8, and so is what its forms send. Some of Python's encodings take minutes to decode, or make
    # halves of characters.
    if (request.charset or "utf-8").lower() not in _CHARSETS:
        raise MalformedForm
    if most != MAX_BODY:
        request = request.clone(client_max_size=most)
    try:
        if request.content.is_eof():  # as the body of a vote is, which comes along with the headers
            return await _fields(request, most)
        async with asyncio.timeout(request.app[CONFIG].limits.body_timeout):
            return await _fields(request, most)
    except TimeoutError:
        raise SlowForm from None
    except (web.HTTPException, MalformedForm):
        raise
    except Exception as error:
        # Missing boundaries, broken encodings: aiohttp raises many types for what a client may send.
        raise MalformedForm from error


async def _fields(request: web.Request, most: int) -> MultiMapping[str]:
    if request.content_type == "multipart/form-data":
        # aiohttp would believe what each part says of its encoding.
        return await _parts(request, most)
    return cast(MultiMapping[str], await request.post())


async def _parts(request: web.Request, most: int) -> MultiMapping[str]:
    """The texts in a multipart form (RFC 7578)."""
    form: MultiDict[str] = MultiDict()
    parts = 0
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader) or part.name is None:
            raise MalformedForm
        parts += 1
        if parts > _MOST_PARTS:
            raise web.HTTPRequestEntityTooLarge(most, request.content.total_bytes)
        content = bytearray()
        while chunk := await part.read_chunk():
            content += chunk
            if request.content.total_bytes > most:
                raise web.HTTPRequestEntityTooLarge(most, request.content.total_bytes)
        if part.filename is None:
            form.add(part.name, content.decode())
    return form


def line(form: MultiMapping[str], name: str) -> str:
    """What a field says, as it can be shown again: see `domain.draft.legible`."""
    return legible(form.get(name, ""))
