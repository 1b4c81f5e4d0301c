"""The fields of a ballot in a form: `choice` (repeated) is the id of a marked choice, `points.ID` the points of one.

They say what they are, so that a ballot is read without knowing its poll.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from multidict import MultiMapping

from polls.domain.ballot import Fault
from polls.domain.draft import replace_unprintable
from polls.domain.errors import InvalidBallot
from polls.web.http.parameters import parse_number

_MAX_MARKS = 100  # more than any ballot has: marks are kept in memory while the ballot is in the queue
_MAX_TYPED = 20  # characters of a number that are shown again

_POINTS_FIELD = re.compile(r"points\.([0-9]{1,10})", re.ASCII)
_POINTS = re.compile("[0-9]{1,3}", re.ASCII)


class BallotForm(NamedTuple):
    """A ballot as it was sent: `chosen` are the values of `choice`, `typed` {ID: value of `points.ID`}.

    A value is kept even if it isn't valid, so that the form can be shown again as it was.
    """

    chosen: tuple[str, ...] = ()
    typed: Mapping[str, str] | None = None

    @property
    def fields(self) -> list[tuple[str, str]]:
        """Return the names and values of its fields, as a page can contain them."""
        points = [(f"points.{choice_id}", value) for choice_id, value in (self.typed or {}).items()]
        fields = [*(("choice", value) for value in self.chosen), *points]
        return [(name, replace_unprintable(value)) for name, value in fields]

    @property
    def marks(self) -> frozenset[int]:
        """Return the ids of the choices that it names, as far as they are ids."""
        values = self.chosen if self.typed is None else self.typed
        return frozenset(mark for value in values if (mark := parse_number(value)))

    @property
    def points(self) -> dict[int, str]:
        """Return {choice id: points as they were typed}, as a page can contain them."""
        return {
            mark: replace_unprintable(value) for key, value in (self.typed or {}).items() if (mark := parse_number(key))
        }


def read_ballot_form(form: MultiMapping[str]) -> BallotForm:
    """Return the fields of the ballot in `form`; others are ignored."""
    typed: dict[str, str] = {}
    for name, value in form.items():
        if match := _POINTS_FIELD.fullmatch(name):
            typed[match[1]] = value[:_MAX_TYPED].strip()
    return BallotForm(tuple(dict.fromkeys(form.getall("choice", ()))), typed or None)


def parse_ballot(form: BallotForm, question_id: int) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Return the marks of a ballot for `question_id`, ascending, and their points or None. Raises InvalidBallot."""
    values = form.chosen if form.typed is None else tuple(key for key, value in form.typed.items() if value)
    if not any(values):
        raise InvalidBallot(question_id, Fault.NO_MARKS)
    if len(values) > _MAX_MARKS:
        raise InvalidBallot(question_id, Fault.TOO_MANY_MARKS)
    marks = sorted([mark for value in values if (mark := parse_number(value))])
    if len(marks) < len(values):
        raise InvalidBallot(question_id, Fault.UNKNOWN_CHOICE)
    if form.typed is None:
        return tuple(marks), None
    points = [form.typed[str(mark)] for mark in marks]
    if not all(_POINTS.fullmatch(value) for value in points):
        raise InvalidBallot(question_id, Fault.WRONG_POINTS)
    return tuple(marks), tuple(map(int, points))
