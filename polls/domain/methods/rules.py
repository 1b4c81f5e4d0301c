"""The rules of ballots that several methods share."""

from itertools import pairwise

from polls.domain.ballot import Ballot, Fault
from polls.domain.poll import Poll


def fault_of_marks(poll: Poll, ballot: Ballot) -> Fault | None:
    """Return what is wrong with the marks of `ballot`, or None. Their order is the ascending one."""
    settings, count = poll.settings, len(ballot.marks)
    if count == 0:
        return Fault.NO_MARKS
    if not poll.offers(*ballot.marks):
        return Fault.UNKNOWN_CHOICE
    if count > 1 and any(mark >= following for mark, following in pairwise(ballot.marks)):
        return Fault.REPEATED_MARK
    if count < settings.fewest_marks:
        return Fault.TOO_FEW_MARKS
    if settings.most_marks is not None and count > settings.most_marks:
        return Fault.TOO_MANY_MARKS
    return None


def fault_of_points(ballot: Ballot, lowest: int, highest: int | None) -> Fault | None:
    """Return what is wrong with the points of `ballot`, each of which is `lowest` to `highest`, or None."""
    points = ballot.points
    if points is None or highest is None or len(points) != len(ballot.marks):
        return Fault.WRONG_POINTS
    return None if all(lowest <= number <= highest for number in points) else Fault.WRONG_POINTS


def fault_of_no_points(ballot: Ballot) -> Fault | None:
    """Return what is wrong with the points of `ballot`, which has none, or None."""
    return None if ballot.points is None else Fault.WRONG_POINTS
