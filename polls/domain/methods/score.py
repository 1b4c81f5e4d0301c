"""Scores: each ballot gives choices a score from 0 to `most_points`; a choice without a score has no opinion."""

from polls.domain.ballot import Ballot
from polls.domain.methods.rules import Fault, fault_of_marks, fault_of_points
from polls.domain.poll import Poll

NAME = "score"
HAS_ONE_MARK = False


def fault_of(poll: Poll, ballot: Ballot) -> Fault | None:
    """Return why `ballot` isn't valid in `poll`, or None if it is."""
    return fault_of_marks(poll, ballot) or fault_of_points(ballot, 0, poll.settings.most_points)
