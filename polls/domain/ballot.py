"""A ballot: the marks of one voter in one poll, and the answer to a counted one."""

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Ballot:
    """A voter's ballot in one poll: `marks` are the ids of the choices that they marked, ascending.

    `points` are the points of each mark, None where the poll's method has none. `voter` is the voter's key in this
    poll: bytes that are unique to the voter and the same in each of their ballots.
    """

    question_id: int
    voter: bytes
    marks: tuple[int, ...]
    points: tuple[int, ...] | None = None


class Counted(NamedTuple):
    """The answer to a ballot that is stored and counted: the poll counts it from this `revision` on."""

    revision: int
