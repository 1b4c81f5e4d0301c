"""What a viewer may see of a poll: the one door between how polls stand and whatever is made of it."""

from typing import NamedTuple

from polls.domain.errors import PollNotFound
from polls.domain.permissions import Person
from polls.domain.poll import Poll
from polls.domain.tally import Tally, tally


class Viewer(NamedTuple):
    """Who looks at a poll: `marks` are the choices that their ballot marks, `person` who they have shown to be."""

    marks: frozenset[int] = frozenset()
    person: Person | None = None


ANONYMOUS = Viewer()


class VisiblePoll(NamedTuple):
    """A poll as a viewer sees it, with their own `marks` among its choices."""

    poll: Poll
    marks: frozenset[int]

    @property
    def tally(self) -> Tally:
        """How it stands."""
        return tally(self.poll.choices)


def visible_to(poll: Poll, viewer: Viewer) -> VisiblePoll:
    """What `viewer` may see of `poll`. Raises PollNotFound where that is nothing."""
    if not (poll.is_published or (viewer.person and viewer.person.may_see(poll))):
        raise PollNotFound(poll.question.id)
    marks = viewer.marks and frozenset(mark for mark in viewer.marks if poll.offers(mark))
    return VisiblePoll(poll, marks)
