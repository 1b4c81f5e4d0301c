"""Several answers: each ballot marks any number of choices within the poll's limits (approval voting)."""

from polls.domain.ballot import Ballot, Fault
from polls.domain.draft import MAX_CHOICES
from polls.domain.methods.rules import fault_of_marks, fault_of_no_points
from polls.domain.poll import Poll
from polls.domain.settings import Limit, PollSettings
from polls.domain.tally import Tally, tally_shares

NAME = "multiple"
HAS_ONE_MARK = False
HAS_SCORES = False
INITIAL = PollSettings(method=NAME, most_marks=None)
LIMITS = {
    "fewest_marks": Limit(1, MAX_CHOICES),
    "most_marks": Limit(1, MAX_CHOICES, is_optional=True, at_least="fewest_marks"),
}
LABELS = ()


def fault_of(poll: Poll, ballot: Ballot) -> Fault | None:
    """Return why `ballot` isn't valid in `poll`, or None if it is."""
    return fault_of_marks(poll, ballot) or fault_of_no_points(ballot)


def stored(ballot: Ballot) -> Ballot:
    """Return `ballot` as it is stored."""
    return ballot


def tally(poll: Poll) -> Tally:
    """Return the results of `poll`: shares of the voters."""
    counts = [choice.votes for choice in poll.choices]
    return tally_shares(poll.choices, poll.ballots, counts, whole=poll.ballots)
