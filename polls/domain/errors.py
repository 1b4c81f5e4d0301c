"""Errors of polls as types with fields; `polls.web.pages.problems` words them for visitors."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from polls.domain.ballot import Fault
from polls.domain.settings import DEFAULT_SETTINGS, PollSettings


class PollNotFound(Exception):
    """A poll, whose id or slug is the argument, that doesn't exist or that the viewer may not see."""


class PollTakenDown(PollNotFound):
    """A poll, whose id is the argument, that an admin has taken down."""


class AccessKeyRequired(Exception):
    """A page or action for the owner of a poll, whose id is the argument, without the poll's present access key."""


class InvalidAccessKey(Exception):
    """An access key that no poll has (any more)."""


@dataclass(eq=False)
class InvalidBallot(Exception):
    """A ballot that isn't valid in its poll; nothing was counted. `settings` has its rules, if they are known."""

    question_id: int
    fault: Fault
    settings: PollSettings = DEFAULT_SETTINGS


@dataclass(eq=False)
class PollClosed(Exception):
    """A vote after the end of its poll, `at`; nothing was counted. `has_voted`: an earlier vote still counts."""

    question_id: int
    at: datetime
    has_voted: bool = False


class VoteNotStored(Exception):
    """A vote that isn't known to be stored, for a temporary reason. The same voter may safely try again."""


class VotingBroken(Exception):
    """A vote that can't be stored until an operator repairs the database. The argument is the poll's id, if known."""


@dataclass(eq=False)
class TooManyVoters(Exception):
    """A vote over its network's rate limit; nothing was counted. The next vote is accepted in `seconds`."""

    seconds: int


@dataclass(eq=False)
class TooManyPolls(Exception):
    """A visitor's poll over the limit of its network, or of all; nothing was saved. Wait `seconds` for the next one."""

    seconds: int


class PollsUnavailable(Exception):
    """A database that can't be read or written at present; the same request may work in a few seconds."""


class TooManySearches(Exception):
    """A search while too many others are waiting for the database; the same one may work in a few seconds."""


class TooManyExports(Exception):
    """A request for ballots as a file while too many others are waiting; the same one may work in a few seconds."""


class ExportTooLarge(Exception):
    """A poll with too many different ballots for a file."""


@dataclass(eq=False)
class PollEdited(Exception):
    """A poll that was added or changed by another request since its form was shown; nothing was saved."""

    question_id: int


class SlugTaken(Exception):
    """A custom slug that another poll has; nothing was saved."""


@dataclass(eq=False)
class ChoicesHaveVotes(Exception):
    """Choices to be removed that have votes, without confirmation that these are removed too; nothing was saved.

    `votes` is {choice id: votes}.
    """

    votes: Mapping[int, int]


@dataclass(eq=False)
class ChoicesMarkedBesideOthers(Exception):
    """Choices to be removed that are marked on ballots together with other ones; nothing was saved.

    `votes` is {choice id: votes}. They can be removed after the poll's ballots were cleared.
    """

    votes: Mapping[int, int]


@dataclass(eq=False)
class RemovalRevealsResults(Exception):
    """Choices to be removed whose votes are hidden from the poll's owner, too; nothing was saved.

    They are refused whether or not they have votes: the refusal must not reveal that. They can be removed after the
    poll's ballots were cleared.
    """

    choice_ids: frozenset[int]


@dataclass(eq=False)
class RulesFixed(Exception):
    """A change of the rules of ballots in a poll that has ballots; nothing was saved."""

    question_id: int


@dataclass(eq=False)
class PollSealed(Exception):
    """A change of who sees the results of a sealed poll that has ballots, or its reopening; nothing was saved."""

    question_id: int
    is_reopened: bool


class InvalidUsername(Exception):
    """An invalid user name."""


class UsernameTaken(Exception):
    """A user name that another account has."""


@dataclass(eq=False)
class InvalidPassword(Exception):
    """A password that can't be set; `reason` is `short`, `long` or `common`."""

    reason: str


class AccountNotFound(Exception):
    """A user name or id that no account has."""


class LastAdmin(Exception):
    """The last enabled account, which can't be disabled: no other could enable it again."""


class SignInFailed(Exception):
    """A wrong user name or password, or a disabled account."""


@dataclass(eq=False)
class TooManyAttempts(Exception):
    """Too many attempts to sign in, to enter a password or to change a poll; the next one is accepted in `seconds`."""

    seconds: int
