"""What can go wrong with polls, as types with fields; `polls.web.errors` words them for people."""

from dataclasses import dataclass


@dataclass(eq=False)
class PollNotFound(Exception):
    """There is no such poll for the public: unknown, not yet published, or without choices."""

    question_id: int


@dataclass(eq=False)
class NothingChosen(Exception):
    """A vote that names no choice of its poll; nothing was counted."""

    question_id: int


class PollsUnavailable(Exception):
    """Polls can be neither read nor written just now; the same request may work in a few seconds."""
