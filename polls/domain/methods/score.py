"""Scores: each ballot gives choices a score from 0 to `most_points`; a choice without a score has no opinion."""

from polls.domain.ballot import Ballot, Fault
from polls.domain.methods.rules import fault_of_marks, fault_of_points
from polls.domain.poll import Poll
from polls.domain.settings import MAX_SCORE, Limit, PollSettings
from polls.domain.tally import Tally, tally_averages

NAME = "score"
HAS_ONE_MARK = False
HAS_SCORES = True
INITIAL = PollSettings(method=NAME, most_marks=None, most_points=5)
LIMITS = {"most_points": Limit(1, MAX_SCORE)}
LABELS = ("lowest_label", "highest_label")


def fault_of(poll: Poll, ballot: Ballot) -> Fault | None:
    """Return why `ballot` isn't valid in `poll`, or None if it is."""
    return fault_of_marks(poll, ballot) or fault_of_points(ballot, 0, poll.settings.most_points)


def stored(ballot: Ballot) -> Ballot:
    """Return `ballot` as it is stored."""
    return ballot


def tally(poll: Poll) -> Tally:
    """Return the results of `poll`: averages over those who gave a score."""
    return tally_averages(poll.choices, poll.ballots, poll.settings.most_points or 1)
