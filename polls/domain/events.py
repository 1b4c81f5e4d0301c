"""What the database tells of changes, as it happens."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class PollChanged:
    """A poll has changed, and was at this `revision` then; None says that it is gone.

    `votes` are {choice id: votes} of all its choices, and `ballots` their ballots, where nothing but these has changed;
    None says that it has to be read again.
    """

    question_id: int
    revision: int | None = None
    edition: int | None = None
    ballots: int | None = None
    votes: Mapping[int, int] | None = None


@dataclass(frozen=True, slots=True)
class CacheInvalidated:
    """Whatever is known of polls has to be read again; from now on each change is told."""


@dataclass(frozen=True, slots=True)
class ClockSync:
    """It was `now`, by the database's clock, at some moment of the `seconds` that asking took.

    Told before anything else, and every now and then.
    """

    now: datetime
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ListenerLost:
    """Changes are not told any more, until CacheInvalidated is."""


Event: TypeAlias = PollChanged | CacheInvalidated | ClockSync | ListenerLost
