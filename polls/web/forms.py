"""What visitors send: raw fields, read with care."""

import re
from typing import Any

from aiohttp import web
from multidict import MultiMapping

from polls.domain.errors import NothingChosen, PollsError

MAX_BODY = 64 * 1024  # bytes; our forms need a few dozen

NUMBER = "[1-9][0-9]{0,8}"  # how ids are written: ASCII digits, no zeros in front, within PostgreSQL's integer


class MalformedForm(PollsError):
    """The body of a request can't be read as a form."""


async def read_form(request: web.Request) -> MultiMapping[Any]:
    """The fields of a posted form; none where the body is no form.

    Raises MalformedForm, and aiohttp's 413 for more than MAX_BODY.
    """
    try:
        return await request.post()
    except web.HTTPException:
        raise
    except Exception as error:
        # Unknown charsets, missing boundaries, broken encodings: aiohttp raises many types for what a client may send.
        raise MalformedForm from error


def chosen(form: MultiMapping[Any], question_id: int) -> int:
    """The id of the one choice that a ballot for `question_id` names.

    Raises NothingChosen where it names none, several, or what is no id.
    """
    match form.getall("choice", []):
        case [str(value)] if re.fullmatch(NUMBER, value):
            return int(value)
    raise NothingChosen(question_id)
