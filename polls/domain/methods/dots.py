"""Dots: each ballot spreads a budget of points over choices; it may spend less."""

from polls.domain.ballot import Ballot
from polls.domain.methods.rules import Fault, fault_of_marks, fault_of_points
from polls.domain.poll import Poll

NAME = "dots"
HAS_ONE_MARK = False


def fault_of(poll: Poll, ballot: Ballot) -> Fault | None:
    """Return why `ballot` isn't valid in `poll`, or None if it is."""
    if fault := fault_of_marks(poll, ballot) or fault_of_points(ballot, 1, poll.settings.most_points):
        return fault
    return Fault.OVER_BUDGET if sum(ballot.points or ()) > (poll.settings.budget or 0) else None
