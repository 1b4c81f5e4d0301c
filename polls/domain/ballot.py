"""A ballot: the marks of one voter in one poll."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ballot:
    """A voter's ballot in one poll: `marks` are the ids of the choices that they marked, ascending.

    `voter` is the voter's key in this poll: bytes that are unique to the voter and the same in each of their ballots.
    """

    question_id: int
    voter: bytes
    marks: tuple[int, ...]
