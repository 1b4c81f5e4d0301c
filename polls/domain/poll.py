"""Rules of a poll: when it is published and open, which ballots it accepts."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import cached_property

from polls.domain.settings import DEFAULT_SETTINGS, PollSettings

RECENTLY = timedelta(days=1)
FIRST_DAY, LAST_DAY = date(1, 1, 3), date(9999, 12, 29)  # representable in PostgreSQL and Python in every time zone


class State(StrEnum):
    """The state of a question, which depends only on its dates and the time."""

    SCHEDULED = "scheduled"
    OPEN = "open"
    CLOSED = "closed"


class Visibility(StrEnum):
    """The place where the public finds a question: the list, its address alone, or none."""

    LISTED = "listed"
    UNLISTED = "unlisted"
    TAKEN_DOWN = "hidden"


@dataclass(frozen=True, slots=True)
class Question:
    """A question put to voters.

    `pub_date` and `closes_at` are aware datetimes: the public may see it from `pub_date` on, and it accepts no ballots
    from `closes_at` on (None: it has no end). `edited_at` is when its text or choices were last changed after there
    were votes, None if they weren't. `custom_slug`, if not None, stands for its id in URLs. It is in the public list if
    `is_listed`; from `taken_down_at` on, if not None, the public may not see it.
    """

    id: int
    text: str
    pub_date: datetime
    closes_at: datetime | None = None
    edited_at: datetime | None = None
    custom_slug: str | None = None
    is_listed: bool = True
    taken_down_at: datetime | None = None

    @property
    def slug(self) -> str:
        """Return the part of URLs that identifies this question: its custom slug, else its id."""
        return self.custom_slug or str(self.id)

    @property
    def is_taken_down(self) -> bool:
        """Return whether an admin has taken it down."""
        return self.taken_down_at is not None

    @property
    def visibility(self) -> Visibility:
        """Return where the public finds it. `storage.listing` has the same rule in SQL."""
        if self.is_taken_down:
            return Visibility.TAKEN_DOWN
        return Visibility.LISTED if self.is_listed else Visibility.UNLISTED

    def was_published_recently(self, now: datetime) -> bool:
        """Return whether it was published within the day before `now`, and not after it."""
        return now - RECENTLY <= self.pub_date <= now

    def is_closed(self, now: datetime) -> bool:
        """Return whether it is closed at `now`."""
        return self.closes_at is not None and self.closes_at <= now

    def state(self, now: datetime) -> State:
        """Return its state at `now`. `storage.listing` has the same rule in SQL."""
        if self.pub_date > now:
            return State.SCHEDULED
        return State.CLOSED if self.is_closed(now) else State.OPEN


@dataclass(frozen=True, slots=True)
class Choice:
    """A choice of a question: `votes` is the number of ballots that mark it, `points` the sum of their points."""

    id: int
    text: str
    votes: int = 0
    points: int = 0


@dataclass(frozen=True)  # without slots: cached_property needs __dict__
class Poll:
    """A question with its choices, in the order that voters see, as it was at `as_of`.

    `as_of` is an aware datetime by the database's clock, which opens and closes polls. `ballots` is the number of
    ballots. `revision` rises with every change, `edition` with changes of text, choices, dates and settings.
    `is_asked_by_visitor`: a visitor without an account made it. `owner_hash` is the hash of its owner's access key, if
    it has an owner.
    `signing_key` is the key of the signatures by which browsers prove that they have voted.
    """

    question: Question
    choices: tuple[Choice, ...]
    as_of: datetime = field(compare=False)
    ballots: int = 0
    revision: int = 0
    edition: int = 0
    settings: PollSettings = DEFAULT_SETTINGS
    is_asked_by_visitor: bool = False
    owner_hash: bytes | None = field(default=None, repr=False)
    signing_key: bytes = field(default=b"", repr=False, compare=False)

    @cached_property
    def is_published(self) -> bool:
        """Return whether the public may see it: `pub_date` has come, it has choices, and it isn't taken down.

        `storage.poll_list` has the same rule in SQL.
        """
        return self.question.pub_date <= self.as_of and bool(self.choices) and not self.question.is_taken_down

    @property
    def is_closed(self) -> bool:
        """Return whether it was closed at `as_of`. Pages show this; the transaction that stores a ballot decides."""
        return self.question.is_closed(self.as_of)

    @property
    def next_transition(self) -> datetime | None:
        """Return the next date, after `as_of`, at which it is published or closed; None if there is none."""
        dates = (self.question.pub_date, self.question.closes_at)
        return min((due for due in dates if due and due > self.as_of), default=None)

    def with_counts(
        self, revision: int, ballots: int, votes: Mapping[int, int], points: Mapping[int, int] | None = None
    ) -> "Poll":
        """Return the same poll with new counts.

        `votes` is {choice id: votes} of all its choices, `points` {choice id: points} of those that have any.
        """
        points = points or {}
        choices = tuple(
            replace(choice, votes=votes[choice.id], points=points.get(choice.id, 0)) for choice in self.choices
        )
        return replace(self, choices=choices, ballots=ballots, revision=revision)

    @cached_property
    def hides_results(self) -> bool:
        """Return `settings.hides_results`, cached because every request for a page of the poll reads it."""
        return self.settings.hides_results

    @cached_property
    def without_counts(self) -> "Poll":
        """Return the same poll without votes and points: only the number of its ballots, `ballots`, is kept."""
        return replace(self, choices=tuple(replace(choice, votes=0, points=0) for choice in self.choices))

    def offers(self, *choice_ids: int) -> bool:
        """Return whether all `choice_ids` are ids of its choices."""
        return self._choice_ids.issuperset(choice_ids)

    @cached_property
    def _choice_ids(self) -> frozenset[int]:
        return frozenset([choice.id for choice in self.choices])
