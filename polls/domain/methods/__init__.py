"""The methods of voting: which ballots are valid and how they are counted. One module for each."""

from collections.abc import Mapping
from typing import Protocol

from polls.domain.ballot import Ballot, Fault
from polls.domain.methods import dots, multiple, score, single
from polls.domain.poll import Poll
from polls.domain.settings import Limit, PollSettings
from polls.domain.tally import Tally


class Method(Protocol):
    """A method of voting, as a module."""

    @property
    def NAME(self) -> str:  # noqa: N802 - a constant of a module
        """The name that is stored in the poll's settings."""

    @property
    def HAS_ONE_MARK(self) -> bool:  # noqa: N802
        """Return whether each ballot has exactly one mark: then a choice can be removed together with its ballots."""

    @property
    def HAS_SCORES(self) -> bool:  # noqa: N802
        """Return whether ballots give scores, whose distribution belongs to the results."""

    @property
    def INITIAL(self) -> PollSettings:  # noqa: N802
        """The settings of a poll for which this method was just chosen."""

    @property
    def LIMITS(self) -> Mapping[str, Limit]:  # noqa: N802
        """The numbers among the settings that can be chosen, in an order in which they refer to earlier ones."""

    @property
    def LABELS(self) -> tuple[str, ...]:  # noqa: N802
        """The texts among the settings that can be chosen."""

    def fault_of(self, poll: Poll, ballot: Ballot) -> Fault | None:
        """Return why `ballot` isn't valid in `poll`, or None if it is."""

    def stored(self, ballot: Ballot) -> Ballot:
        """Return a valid ballot as it is stored."""

    def tally(self, poll: Poll) -> Tally:
        """Return the results of `poll`."""


METHODS: Mapping[str, Method] = {method.NAME: method for method in (single, multiple, score, dots)}


def method_of(poll: Poll) -> Method:
    """Return the method by which `poll` is voted on."""
    return METHODS[poll.settings.method]
