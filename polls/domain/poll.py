"""The rules of a poll: what it consists of, when it is published."""

from dataclasses import dataclass
from datetime import datetime, timedelta

RECENTLY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Question:
    """A question put to voters.

    `pub_date` is an aware datetime: the moment from which the public may see it.
    """

    id: int
    text: str
    pub_date: datetime

    @property
    def address(self) -> str:
        """What stands for this question in a web address."""
        return str(self.id)

    def was_published_recently(self, now: datetime) -> bool:
        """Published within the day before `now`, and not after it."""
        return now - RECENTLY <= self.pub_date <= now


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the answers that a question offers, and how many votes it has."""

    id: int
    text: str
    votes: int = 0


@dataclass(frozen=True, slots=True)
class Poll:
    """A question with its choices, in the order in which voters see them."""

    question: Question
    choices: tuple[Choice, ...]

    def is_published(self, now: datetime) -> bool:
        """Whether the public may see it at `now`: its hour has come, and there is something to choose.

        `storage.questions.PUBLISHED` says the same in SQL.
        """
        return self.question.pub_date <= now and bool(self.choices)
