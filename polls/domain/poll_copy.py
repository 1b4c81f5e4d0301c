"""Copies of polls for another database: everything that describes them, without ballots, history and owner."""

from dataclasses import dataclass
from datetime import datetime

from polls.domain.draft import Draft, DraftChoice
from polls.domain.poll import Poll
from polls.domain.settings import DEFAULT_SETTINGS, PollSettings


@dataclass(frozen=True, slots=True)
class PollCopy:
    """A copy of a poll; `choices` are their texts in order, the rest is as in `Question` and `PollSettings`."""

    text: str
    choices: tuple[str, ...]
    pub_date: datetime
    closes_at: datetime | None = None
    custom_slug: str | None = None
    is_listed: bool = True
    taken_down_at: datetime | None = None
    settings: PollSettings = DEFAULT_SETTINGS

    @property
    def draft(self) -> Draft:
        """Return the draft of a poll like this; the rest isn't written by forms."""
        choices = tuple(DraftChoice(text) for text in self.choices)
        return Draft(
            self.text, self.pub_date, self.closes_at, choices, settings=self.settings, custom_slug=self.custom_slug
        )


def copy_of(poll: Poll) -> PollCopy:
    """Return a copy of `poll`."""
    question = poll.question
    return PollCopy(
        question.text,
        tuple(choice.text for choice in poll.choices),
        question.pub_date,
        question.closes_at,
        question.custom_slug,
        question.is_listed,
        question.taken_down_at,
        poll.settings,
    )
