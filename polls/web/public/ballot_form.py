"""Parsing of a ballot from the form of a poll."""

from multidict import MultiMapping

from polls.domain.errors import InvalidChoice
from polls.web.http.numbers import parse_number

_MAX_MARKS = 100  # more than any ballot has: marks are kept in memory while the ballot is in the queue


def parse_marks(form: MultiMapping[str], question_id: int) -> tuple[int, ...]:
    """Return the marks of a ballot for `question_id`: the ids of the chosen choices, ascending.

    Raises InvalidChoice if there are none, more than 100, or one that isn't a number.
    """
    values = form.getall("choice", [])
    if len(values) > _MAX_MARKS:
        raise InvalidChoice(question_id)
    marks: list[int] = []
    for value in values:
        choice_id = parse_number(value)
        if choice_id is None:
            raise InvalidChoice(question_id)
        marks.append(choice_id)
    if not marks:
        raise InvalidChoice(question_id)
    return tuple(sorted(marks))
