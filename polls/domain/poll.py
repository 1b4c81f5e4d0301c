"""The rules of a poll: what it consists of, when it is published and open, which ballots it accepts."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

RECENTLY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Question:
    """A question put to voters.

    `pub_date` and `closes_at` are aware datetimes: the moment from which the public may see it, and the one from which
    it takes no more ballots (None while no end is set).
    """

    id: int
    text: str
    pub_date: datetime
    closes_at: datetime | None = None

    @property
    def address(self) -> str:
        """What stands for this question in a web address."""
        return str(self.id)

    def was_published_recently(self, now: datetime) -> bool:
        """Published within the day before `now`, and not after it."""
        return now - RECENTLY <= self.pub_date <= now

    def is_closed(self, now: datetime) -> bool:
        """Whether its end has come."""
        return self.closes_at is not None and self.closes_at <= now


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the answers that a question offers, and how many votes it has: ballots that mark it."""

    id: int
    text: str
    votes: int = 0


@dataclass(frozen=True, slots=True)
class Ballot:
    """What one voter says about one question: `marks` are the ids of the choices that they chose, ascending.

    `voter` is the voter's name in this poll: bytes that are the same whenever they come back, and nobody else's.
    """

    question_id: int
    voter: bytes
    marks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Poll:
    """A question with its choices, in the order in which voters see them, as it stood at `as_of`.

    `as_of` is an aware datetime by the database's clock, which is the one that opens and closes polls.
    """

    question: Question
    choices: tuple[Choice, ...]
    as_of: datetime = field(compare=False)

    def is_published(self, now: datetime) -> bool:
        """Whether the public may see it at `now`: its hour has come, and there is something to choose.

        `storage.questions.PUBLISHED` says the same in SQL.
        """
        return self.question.pub_date <= now and bool(self.choices)

    @property
    def is_closed(self) -> bool:
        """Whether it had ended when it was read. Pages show this; the transaction that stores a ballot decides it."""
        return self.question.is_closed(self.as_of)

    def accepts(self, ballot: Ballot) -> bool:
        """Whether `ballot` says what this poll asks for: one of its choices."""
        return len(ballot.marks) == 1 and self.offers(*ballot.marks)

    def offers(self, *choice_ids: int) -> bool:
        """Whether all these are among its choices."""
        return {choice.id for choice in self.choices}.issuperset(choice_ids)
