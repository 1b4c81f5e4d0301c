"""Reading the posted fields of a poll's form."""

import re

from multidict import MultiMapping

from polls.web.http.forms import text_field
from polls.web.http.parameters import parse_number
from polls.web.manage.datetime_fields import DateTimeFields
from polls.web.manage.poll_form import ChoiceRow, PollForm

MAX_BYTES = 512 * 1024  # twice the size of a hundred choices of two hundred emojis each

_TEXT_OF_CHOICE = re.compile(r"choice\.([0-9]{1,6})\.text")
_EDITION = re.compile("[0-9]{1,18}")


def parse_form(fields: MultiMapping[str]) -> PollForm:
    """Return the form as it was posted. Missing fields are empty: the form of another version may lack some.

    A missing or malformed edition is -1, which no poll has.
    """
    numbers = sorted({int(match[1]) for name in fields if (match := _TEXT_OF_CHOICE.fullmatch(name))})
    edition = text_field(fields, "edition")
    return PollForm(
        text_field(fields, "text"),
        _parse_datetime(fields, "published"),
        _parse_datetime(fields, "closes"),
        tuple(_parse_row(fields, row_number) for row_number in numbers),
        int(edition) if _EDITION.fullmatch(edition) else -1,
        frozenset(id_ for value in fields.getall("confirmed", []) if (id_ := parse_number(value))),
    )


def _parse_datetime(fields: MultiMapping[str], name: str) -> DateTimeFields:
    return DateTimeFields(text_field(fields, f"{name}_date"), text_field(fields, f"{name}_time"))


def _parse_row(fields: MultiMapping[str], row_number: int) -> ChoiceRow:
    prefix = f"choice.{row_number}"
    choice_id = text_field(fields, f"{prefix}.id")
    return ChoiceRow(
        row_number,
        text_field(fields, f"{prefix}.text"),
        text_field(fields, f"{prefix}.position"),
        choice_id if parse_number(choice_id) else "",
        f"{prefix}.remove" in fields,
    )
