"""What can go wrong with polls, as types with fields; `polls.web.errors` words them for people."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(eq=False)
class PollNotFound(Exception):
    """There is no such poll for the public: unknown, not yet published, or without choices."""

    question_id: int


@dataclass(eq=False)
class NothingChosen(Exception):
    """A vote that names no choice of its poll; nothing was counted."""

    question_id: int


@dataclass(eq=False)
class PollClosed(Exception):
    """A vote that came after the end of its poll, which was `at`; nothing was counted."""

    question_id: int
    at: datetime


class VoteNotStored(Exception):
    """A vote that is not known to be stored, for reasons that pass. The same voter may safely try again."""


class PollsUnavailable(Exception):
    """Polls can be neither read nor written just now; the same request may work in a few seconds."""
