"""Read a ballot from the form of a poll."""

from multidict import MultiMapping

from polls.domain.errors import NothingChosen
from polls.web.http.numbers import number

_MOST_MARKS = 100  # more than any ballot has; many may have to wait in memory


def parse_marks(form: MultiMapping[str], question_id: int) -> tuple[int, ...]:
    """The marks of a ballot for `question_id`: the ids of the choices that the form names, ascending.

    Raises NothingChosen where it names none, or what is no id.
    """
    values = form.getall("choice", [])
    if len(values) > _MOST_MARKS:
        raise NothingChosen(question_id)
    marks: list[int] = []
    for value in values:
        choice_id = number(value)
        if choice_id is None:
            raise NothingChosen(question_id)
        marks.append(choice_id)
    if not marks:
        raise NothingChosen(question_id)
    return tuple(sorted(marks))
