"""Several answers: each ballot marks any number of choices within the poll's limits (approval voting)."""

from polls.domain.ballot import Ballot
from polls.domain.methods.rules import Fault, fault_of_marks, fault_of_no_points
from polls.domain.poll import Poll

NAME = "multiple"
HAS_ONE_MARK = False


def fault_of(poll: Poll, ballot: Ballot) -> Fault | None:
    """Return why `ballot` isn't valid in `poll`, or None if it is."""
    return fault_of_marks(poll, ballot) or fault_of_no_points(ballot)
