"""The rules of a poll: what it consists of, when it is published and open, which ballots it accepts."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum

from polls.domain.ballot import Ballot

RECENTLY = timedelta(days=1)
FIRST_DAY, LAST_DAY = date(1, 1, 3), date(9999, 12, 29)  # that the database's calendar has in every time zone


class State(StrEnum):
    """Where a question stands in its life."""

    SCHEDULED = "scheduled"
    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Question:
    """A question put to voters.

    `pub_date` and `closes_at` are aware datetimes: the moment from which the public may see it, and the one from which
    it takes no more ballots (None while no end is set). `edited_at` is when text or choices were last changed that
    somebody had voted on, None where that never happened.
    """

    id: int
    text: str
    pub_date: datetime
    closes_at: datetime | None = None
    edited_at: datetime | None = None

    @property
    def slug(self) -> str:
        """What stands for this question in a web address."""
        return str(self.id)

    def was_published_recently(self, now: datetime) -> bool:
        """Published within the day before `now`, and not after it."""
        return now - RECENTLY <= self.pub_date <= now

    def is_closed(self, now: datetime) -> bool:
        """Whether its end has come."""
        return self.closes_at is not None and self.closes_at <= now

    def state(self, now: datetime) -> State:
        """Where it stands at `now`. `storage.listing` says the same in SQL."""
        if self.pub_date > now:
            return State.SCHEDULED
        return State.CLOSED if self.is_closed(now) else State.OPEN


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the answers that a question offers, and how many votes it has: ballots that mark it."""

    id: int
    text: str
    votes: int = 0


@dataclass(frozen=True, slots=True)
class Poll:
    """A question with its choices, in the order in which voters see them, as it stood at `as_of`.

    `as_of` is an aware datetime by the database's clock, which is the one that opens and closes polls. `ballots` is how
    many were cast. `revision` rises with every change of anything, `edition` with those of text, choices and dates.
    """

    question: Question
    choices: tuple[Choice, ...]
    as_of: datetime = field(compare=False)
    ballots: int = 0
    revision: int = 0
    edition: int = 0

    @property
    def is_published(self) -> bool:
        """Whether the public may see it: its hour has come, and there is something to choose.

        `storage.questions.PUBLISHED` says the same in SQL.
        """
        return self.question.pub_date <= self.as_of and bool(self.choices)

    @property
    def is_closed(self) -> bool:
        """Whether it had ended by then. Pages show this; the transaction that stores a ballot decides it."""
        return self.question.is_closed(self.as_of)

    @property
    def next_transition(self) -> datetime | None:
        """When time alone will change it next: its publication, or its end; None where neither is to come."""
        moments = (self.question.pub_date, self.question.closes_at)
        return min((moment for moment in moments if moment and moment > self.as_of), default=None)

    def at(self, moment: datetime) -> "Poll":
        """The same poll, with the same votes, at another moment."""
        return replace(self, as_of=moment)

    def counted(self, revision: int, ballots: int, votes: Mapping[int, int]) -> "Poll":
        """The same poll after more ballots; `votes` are {choice id: votes} of all its choices."""
        choices = tuple(replace(choice, votes=votes[choice.id]) for choice in self.choices)
        return replace(self, choices=choices, ballots=ballots, revision=revision)

    def accepts(self, ballot: Ballot) -> bool:
        """Whether `ballot` says what this poll asks for: one of its choices."""
        return len(ballot.marks) == 1 and self.offers(*ballot.marks)

    def offers(self, *choice_ids: int) -> bool:
        """Whether all these are among its choices."""
        return {choice.id for choice in self.choices}.issuperset(choice_ids)
