"""One answer: each ballot marks one choice."""

from polls.domain.ballot import Ballot, Fault
from polls.domain.methods.rules import fault_of_marks, fault_of_no_points
from polls.domain.poll import Poll
from polls.domain.settings import Limit, PollSettings
from polls.domain.tally import Tally, tally_shares

NAME = "single"
HAS_ONE_MARK = True
HAS_SCORES = False
INITIAL = PollSettings()
LIMITS: dict[str, Limit] = {}
LABELS = ()


def fault_of(poll: Poll, ballot: Ballot) -> Fault | None:
    """Return why `ballot` isn't valid in `poll`, or None if it is."""
    return fault_of_marks(poll, ballot) or fault_of_no_points(ballot)


def stored(ballot: Ballot) -> Ballot:
    """Return `ballot` as it is stored."""
    return ballot


def tally(poll: Poll) -> Tally:
    """Return the results of `poll`: shares of the votes."""
    return tally_shares(poll.choices, poll.ballots, [choice.votes for choice in poll.choices])
