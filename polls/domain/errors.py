"""What can go wrong with polls, as types with fields; `polls.web.errors` words them for people."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(eq=False)
class PollNotFound(Exception):
    """There is no such poll for whoever asks: unknown, or not public (yet) and none of theirs."""

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


@dataclass(eq=False)
class TooManyVoters(Exception):
    """So many have just voted from a network that the next one has to wait so many `seconds`; nothing was counted."""

    seconds: int


class PollsUnavailable(Exception):
    """Polls can be neither read nor written just now; the same request may work in a few seconds."""


@dataclass(eq=False)
class PollEdited(Exception):
    """Somebody else has changed the poll since it was read for editing; nothing was saved."""

    question_id: int


@dataclass(eq=False)
class ChoicesHaveVotes(Exception):
    """Choices that shall be removed have votes, and nobody has said that these may go; nothing was saved.

    `votes` are {choice id: votes}.
    """

    votes: Mapping[int, int]


class UnfitUsername(Exception):
    """A user name that nobody can have."""


class UsernameTaken(Exception):
    """A user name that somebody has already."""


@dataclass(eq=False)
class UnfitPassword(Exception):
    """A password that can't be set; `reason` is `short`, `long` or `common`."""

    reason: str


class NoSuchAccount(Exception):
    """Nobody has this user name, or this id."""


class LastAdmin(Exception):
    """The last account that may sign in can't be disabled: nobody could enable it again."""


class SignInFailed(Exception):
    """A user name and a password that don't belong together; or whose account is disabled."""


@dataclass(eq=False)
class TooManyAttempts(Exception):
    """Somebody has failed to sign in too often, or too many try at once: they have to wait so many `seconds`."""

    seconds: int
