"""Events that the database sends about changes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class PollChanged:
    """A change of a poll, which gave it this `revision`; None if the poll was deleted.

    If only the counts have changed, `votes` is {choice id: votes} of all its choices, `points` {choice id: points} of
    those that have any, and `ballots` the number of ballots; otherwise `votes` is None, and the poll has to be read
    again.
    """

    question_id: int
    revision: int | None = None
    edition: int | None = None
    ballots: int | None = None
    votes: Mapping[int, int] | None = None
    points: Mapping[int, int] | None = None


@dataclass(frozen=True, slots=True)
class CacheInvalidated:
    """The invalidation of all polls: they have to be read again. From now on, every change is announced."""


@dataclass(frozen=True, slots=True)
class ClockSync:
    """A reading of the database's clock: it was `now` at some point of the `seconds` that the query took.

    It is the first event after each connection to the database, and repeated regularly.
    """

    now: datetime
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ListenerLost:
    """The loss of the listening connection: changes aren't announced until the next CacheInvalidated."""


Event: TypeAlias = PollChanged | CacheInvalidated | ClockSync | ListenerLost
