"""The part of a poll that a viewer may see; every page and message about a poll is rendered from a VisiblePoll."""

from typing import NamedTuple

from polls.domain.distribution import Distribution, ScoreCounts, distribution_of
from polls.domain.errors import PollHidden, PollNotFound
from polls.domain.methods import method_of
from polls.domain.permissions import Person
from polls.domain.poll import Poll
from polls.domain.tally import Tally


class Viewer(NamedTuple):
    """A viewer of a poll. `person` is None if not signed in.

    `marks` are the ids of the choices on their ballot, `points` the pairs of such an id and its points, if it has any.
    """

    marks: frozenset[int] = frozenset()
    points: frozenset[tuple[int, int]] = frozenset()
    person: Person | None = None


ANONYMOUS = Viewer()


class VisiblePoll(NamedTuple):
    """A poll as a viewer may see it, with the viewer's own `marks` and `points`, and the `person` signed in."""

    poll: Poll
    marks: frozenset[int]
    points: frozenset[tuple[int, int]] = frozenset()
    person: Person | None = None

    @property
    def is_admin(self) -> bool:
        """Return whether the viewer is signed in as an admin."""
        return self.person is not None and self.person.is_admin

    @property
    def may_edit(self) -> bool:
        """Return whether the viewer may edit the poll."""
        return self.person is not None and self.person.may_edit(self.poll)

    @property
    def variant(self) -> tuple[object, ...]:
        """Return what this viewer's pages depend on beside the poll; empty if anonymous visitors see the same."""
        if not self.marks and self.person is None:
            return ()
        return self.marks, self.points, self.is_admin, self.may_edit

    @property
    def tally(self) -> Tally:
        return method_of(self.poll).tally(self.poll)

    @property
    def has_distribution(self) -> bool:
        """Return whether the results that the viewer may see include the distribution of scores."""
        return self.poll.ballots > 0 and method_of(self.poll).HAS_SCORES

    def distribution(self, counts: ScoreCounts | None) -> Distribution | None:
        """Return the distribution of scores for the viewer; None if there is none, or its `counts` aren't known."""
        return distribution_of(self.poll, counts) if counts and self.has_distribution else None


def visible_to(poll: Poll, viewer: Viewer) -> VisiblePoll:
    """Return what `viewer` may see of `poll`. Raises PollNotFound or PollHidden if they may not at all."""
    if not (poll.is_published or (viewer.person and viewer.person.may_see(poll))):
        raise (PollHidden if poll.question.is_hidden else PollNotFound)(poll.question.id)
    marks = viewer.marks and frozenset(mark for mark in viewer.marks if poll.offers(mark))
    points = viewer.points and frozenset(pair for pair in viewer.points if pair[0] in marks)
    return VisiblePoll(poll, marks, points, viewer.person)
