"""A ballot: the marks of one voter in one poll, the faults that it may have, and the answer to a counted one."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Ballot:
    """A voter's ballot in one poll: `marks` are the ids of the choices that they marked, ascending.

    `points` are the points of each mark, None where the poll's method has none. `voter` is the voter's key in this
    poll: bytes that are unique to the voter and the same in each of their ballots. `custom_slug` is that of the URL
    to which the voter's browser sent the ballot, None if the URL has the poll's id.
    """

    question_id: int
    voter: bytes
    marks: tuple[int, ...]
    points: tuple[int, ...] | None = None
    custom_slug: str | None = None


class Fault(StrEnum):
    """A reason why a ballot isn't valid in its poll."""

    NO_MARKS = "no marks"
    TOO_FEW_MARKS = "too few marks"
    TOO_MANY_MARKS = "too many marks"
    REPEATED_MARK = "repeated mark"
    UNKNOWN_CHOICE = "unknown choice"  # a choice that was removed, or of another poll
    WRONG_POINTS = "wrong points"  # missing, not allowed, or outside the range for one choice
    OVER_BUDGET = "over budget"  # more points in all than a voter may spread


class Counted(NamedTuple):
    """The answer to a ballot that is stored and counted: the poll counts it from this `revision` on.

    `signing_key` is that of the poll, empty if its results are never hidden.
    """

    revision: int
    signing_key: bytes = b""
