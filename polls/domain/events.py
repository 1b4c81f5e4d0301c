"""Events that the database sends about changes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class PollChanged:
    """A change of a poll, which gave it this `revision`; None if the poll was deleted.

    If nothing but counts has changed, `votes` are {choice id: votes} of all its choices, and `ballots` the number of
    ballots; otherwise `votes` is None, and the poll has to be read again.
    """

    question_id: int
    revision: int | None = None
    edition: int | None = None
    ballots: int | None = None
    votes: Mapping[int, int] | None = None


@dataclass(frozen=True, slots=True)
class CacheInvalidated:
    """The start of complete announcements: all polls have to be read again, and every later change is announced."""


@dataclass(frozen=True, slots=True)
class ClockSync:
    """A reading of the database's clock: it was `now` at some point of the `seconds` that the query took.

    It is the first event, and repeated regularly.
    """

    now: datetime
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ListenerLost:
    """The loss of the listening connection: changes aren't announced until the next CacheInvalidated."""


Event: TypeAlias = PollChanged | CacheInvalidated | ClockSync | ListenerLost
