"""The public list of polls: queries for it, and its pages."""

from dataclasses import dataclass
from typing import NamedTuple

from polls.domain.methods import method_of
from polls.domain.poll import Poll, Question, State
from polls.domain.visibility import Role, hidden_from

PAGE_SIZE = 5
MAX_COUNT = 1000  # matching polls are counted up to this number

_LAST_CHEAP_PAGE = 20


class ListQuery(NamedTuple):
    """A page of the polls that are open or closed (None: all), and have all `words`; `page` is its number, from 1."""

    state: State | None = None
    words: str = ""
    page: int = 1

    @property
    def is_expensive(self) -> bool:
        """Return whether the database may need long for it: it searches, or skips many polls."""
        return bool(self.words) or self.page > _LAST_CHEAP_PAGE


@dataclass(frozen=True, slots=True)
class ListedPoll:
    """A poll in the list. `leaders` are the texts of the leading choices if it is closed, else empty."""

    question: Question
    ballots: int
    is_closed: bool
    leaders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ListPage:
    """A page of the list: at most PAGE_SIZE polls, newest first.

    `count` is the number of polls on all its pages, MAX_COUNT + 1 if there are more than MAX_COUNT. `has_older` tells
    whether a page follows.
    """

    polls: tuple[ListedPoll, ...]
    count: int
    has_older: bool

    @property
    def last(self) -> int | None:
        """The number of the last page, or None if there are too many polls to count."""
        return max(1, -(-self.count // PAGE_SIZE)) if self.count <= MAX_COUNT else None


def listed(poll: Poll) -> ListedPoll:
    """Return `poll` as the list shows it."""
    results = method_of(poll).tally(poll).results if poll.is_closed and not hidden_from(poll, Role.STRANGER) else ()
    leaders = tuple(result.choice.text for result in results if result.leads)
    return ListedPoll(poll.question, poll.ballots, poll.is_closed, leaders)
