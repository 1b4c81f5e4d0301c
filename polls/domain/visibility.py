"""The part of a poll that a viewer may see; every page and message about a poll is rendered from a VisiblePoll."""

from enum import StrEnum
from typing import Literal, NamedTuple

from polls.domain.distribution import Distribution, ScoreCounts, distribution_of
from polls.domain.errors import PollNotFound, PollTakenDown
from polls.domain.methods import method_of
from polls.domain.permissions import Person
from polls.domain.poll import Poll
from polls.domain.settings import Results
from polls.domain.tally import Tally


class Role(StrEnum):
    """The role of a viewer in a poll."""

    STRANGER = "stranger"  # neither of the others
    VOTER = "voter"  # has proved a vote; checked only in polls that hide results
    OWNER = "owner"  # may edit the poll


class Hidden(NamedTuple):
    """The reason why results are hidden from a viewer.

    They are `until` the viewer votes, the poll has closed, or there are enough ballots. `missing` is the number of
    ballots without which the results stay hidden from all in any case.
    """

    until: Literal["vote", "close", "enough", "never"]
    missing: int = 0


def hidden_from(poll: Poll, role: Role) -> Hidden | None:
    """Return why the results of `poll` are hidden from viewers with `role`, or None if they may see them.

    After the end, those who haven't voted can't any more: they see what voters see.
    """
    if not poll.hides_results:
        return None
    settings = poll.settings
    missing = max(0, settings.results_from - poll.ballots)
    match settings.results:
        case Results.AFTER_VOTE if role is Role.STRANGER and not poll.is_closed:
            return Hidden("vote", missing)
        case Results.AFTER_CLOSE if not poll.is_closed and (role is not Role.OWNER or settings.is_sealed):
            return Hidden("close", missing)
        case Results.OWNER if role is not Role.OWNER:
            return Hidden("never", missing)
        case Results.OWNER if settings.is_sealed and not poll.is_closed:
            return Hidden("close", missing)
    return Hidden("enough", missing) if missing else None


def may_reveal(poll: Poll) -> bool:
    """Return whether the owner of `poll` may show its results to everyone by opening the setting `results`.

    They may if they see them and others don't. Sealed results stay hidden as was promised, and so do those of too few
    ballots, which would reveal who voted for what.
    """
    if poll.settings.is_sealed or hidden_from(poll, Role.OWNER):
        return False
    return hidden_from(poll, Role.STRANGER) is not None


class Viewer(NamedTuple):
    """A viewer of a poll. `person` is None if not signed in.

    `marks` are the ids of the choices on their ballot, `points` the pairs of such an id and its points, if it has any:
    for display only, unverified. `has_voted`: their browser has proved a vote; checked only in polls that hide results.
    """

    marks: frozenset[int] = frozenset()
    points: frozenset[tuple[int, int]] = frozenset()
    person: Person | None = None
    has_voted: bool = False


ANONYMOUS = Viewer()


class VisiblePoll(NamedTuple):
    """A poll as a viewer may see it, with the viewer's own `marks` and `points`, and the `person` signed in.

    `hidden` says why the results are hidden, None if they aren't. If they are, `poll` has no counts but `ballots`, and
    there is no `tally`.
    """

    poll: Poll
    marks: frozenset[int]
    points: frozenset[tuple[int, int]] = frozenset()
    person: Person | None = None
    role: Role = Role.STRANGER
    hidden: Hidden | None = None

    @property
    def is_admin(self) -> bool:
        """Return whether the viewer is signed in as an admin."""
        return self.person is not None and self.person.is_admin

    @property
    def may_edit(self) -> bool:
        """Return whether the viewer may edit the poll."""
        return self.role is Role.OWNER

    @property
    def may_reveal(self) -> bool:
        """Return whether the viewer may show the results to everyone."""
        return self.may_edit and may_reveal(self.poll)

    @property
    def variant(self) -> tuple[object, ...]:
        """Return what this viewer's pages depend on beside the poll; empty if anonymous visitors see the same."""
        if not self.marks and self.person is None:
            return ()
        return self.marks, self.points, self.is_admin, self.role

    @property
    def tally(self) -> Tally | None:
        """Return the results, or None if they are hidden."""
        return None if self.hidden else method_of(self.poll).tally(self.poll)

    @property
    def as_public(self) -> "VisiblePoll":
        """Return what visitors who haven't voted may see of it, for a screen in public."""
        return visible_to_role(self.poll, Role.STRANGER)

    @property
    def has_distribution(self) -> bool:
        """Return whether the results that the viewer may see include the distribution of scores."""
        return not self.hidden and self.poll.ballots > 0 and method_of(self.poll).HAS_SCORES

    def distribution(self, counts: ScoreCounts | None) -> Distribution | None:
        """Return the distribution of scores for the viewer; None if there is none, or its `counts` aren't known."""
        return distribution_of(self.poll, counts) if counts and self.has_distribution else None


def visible_to(poll: Poll, viewer: Viewer) -> VisiblePoll:
    """Return what `viewer` may see of `poll`. Raises PollNotFound or PollTakenDown if they may not at all."""
    if not (poll.is_published or (viewer.person and viewer.person.may_see(poll))):
        raise (PollTakenDown if poll.question.is_taken_down else PollNotFound)(poll.question.id)
    marks = viewer.marks and frozenset(mark for mark in viewer.marks if poll.offers(mark))
    points = viewer.points and frozenset(pair for pair in viewer.points if pair[0] in marks)
    role = role_of(poll, viewer)
    hidden = hidden_from(poll, role)
    return VisiblePoll(poll.without_counts if hidden else poll, marks, points, viewer.person, role, hidden)


def visible_to_role(poll: Poll, role: Role) -> VisiblePoll:
    """Return what all viewers with `role` may see of `poll`, which is published."""
    hidden = hidden_from(poll, role)
    return VisiblePoll(poll.without_counts if hidden else poll, frozenset(), role=role, hidden=hidden)


def role_of(poll: Poll, viewer: Viewer) -> Role:
    """Return the role of `viewer` in `poll`."""
    if viewer.person and viewer.person.may_edit(poll):
        return Role.OWNER
    # A ballot whose only choice was removed doesn't count any more.
    return Role.VOTER if viewer.has_voted and any(map(poll.offers, viewer.marks)) else Role.STRANGER
