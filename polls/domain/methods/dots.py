"""Dots: each ballot spreads a budget of points over choices; it may spend less."""

from dataclasses import replace

from polls.domain.ballot import Ballot, Fault
from polls.domain.methods.rules import fault_of_marks, fault_of_points
from polls.domain.poll import Poll
from polls.domain.settings import MAX_BUDGET, Limit, PollSettings
from polls.domain.tally import Tally, tally_shares

NAME = "dots"
HAS_ONE_MARK = False
HAS_SCORES = False
INITIAL = PollSettings(method=NAME, most_marks=None, most_points=10, budget=10)
LIMITS = {"budget": Limit(1, MAX_BUDGET), "most_points": Limit(1, MAX_BUDGET, at_most="budget")}
LABELS = ()


def fault_of(poll: Poll, ballot: Ballot) -> Fault | None:
    """Return why `ballot` isn't valid in `poll`, or None if it is."""
    ballot = stored(ballot)
    if fault := fault_of_marks(poll, ballot) or fault_of_points(ballot, 1, poll.settings.most_points):
        return fault
    return Fault.OVER_BUDGET if sum(ballot.points or ()) > (poll.settings.budget or 0) else None


def stored(ballot: Ballot) -> Ballot:
    """Return `ballot` as it is stored: a choice without points isn't marked."""
    if ballot.points is None or len(ballot.points) != len(ballot.marks):
        return ballot
    points = {mark: number for mark, number in zip(ballot.marks, ballot.points, strict=True) if number}
    return replace(ballot, marks=tuple(points), points=tuple(points.values()))


def tally(poll: Poll) -> Tally:
    """Return the results of `poll`: shares of the points."""
    return tally_shares(poll.choices, poll.ballots, [choice.points for choice in poll.choices])
