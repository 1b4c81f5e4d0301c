"""A ballot: the marks of one voter in one poll."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ballot:
    """What one voter says about one question: `marks` are the ids of the choices that they chose, ascending.

    `voter` is the voter's name in this poll: bytes that are the same whenever they come back, and nobody else's.
    """

    question_id: int
    voter: bytes
    marks: tuple[int, ...]
