"""What visitors send: raw fields, read with care."""

from typing import Any

from aiohttp import web
from multidict import MultiMapping

from polls.domain.errors import NothingChosen
from polls.web.numbers import number

MAX_BODY = 64 * 1024  # bytes; our forms need a few dozen
_MOST_MARKS = 100  # more than any ballot has; many may have to wait in memory


class MalformedForm(Exception):
    """The body of a request can't be read as a form."""


async def read_form(request: web.Request, *, most: int = MAX_BODY) -> MultiMapping[Any]:
    """The fields of a posted form; none where the body is no form.

    Raises MalformedForm, and aiohttp's 413 for more than `most` bytes.
    """
    # An application that we are mounted in has a limit of its own, and aiohttp asks only that.
    if (size := request.content_length or 0) > most:
        raise web.HTTPRequestEntityTooLarge(most, size)
    try:
        return await (request if most == MAX_BODY else request.clone(client_max_size=most)).post()
    except web.HTTPException:
        raise
    except Exception as error:
        # Unknown charsets, missing boundaries, broken encodings: aiohttp raises many types for what a client may send.
        raise MalformedForm from error


def field(form: MultiMapping[Any], name: str) -> str:
    """The text of a field; nothing where it is missing, or a file."""
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


def marked(form: MultiMapping[Any], question_id: int) -> tuple[int, ...]:
    """The marks of a ballot for `question_id`: the ids of the choices that the form names, ascending.

    Raises NothingChosen where it names none, or what is no id.
    """
    values = form.getall("choice", [])
    if len(values) > _MOST_MARKS:
        raise NothingChosen(question_id)
    marks: list[int] = []
    for value in values:
        choice_id = number(value) if isinstance(value, str) else None  # it may be a file
        if choice_id is None:
            raise NothingChosen(question_id)
        marks.append(choice_id)
    if not marks:
        raise NothingChosen(question_id)
    return tuple(sorted(marks))
