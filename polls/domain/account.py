"""The rules of accounts: who may have one, under which name."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime

from polls.domain.errors import UnfitUsername
from polls.domain.permissions import Person, admin

MOST_LETTERS = 150
FEWEST_IN_PASSWORD = 8
MOST_IN_PASSWORD = 1000

_BESIDE_LETTERS = frozenset(".-_@+")


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who may sign in, until it is disabled. `username` is folded."""

    id: int
    username: str
    created_at: datetime
    disabled_at: datetime | None = None

    @property
    def person(self) -> Person:
        """Whoever has signed in with it."""
        return admin(self.username)


def folded(username: str) -> str:
    """`username` as it is kept and compared: Ada and ada are one (Unicode's NFKC and case folding)."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", username.strip()).casefold())


def fit(username: str) -> str:
    """`username`, folded. Raises UnfitUsername unless it is letters, digits, and . - _ @ +."""
    name = folded(username)
    if not 0 < len(name) <= MOST_LETTERS or not all(letter.isalnum() or letter in _BESIDE_LETTERS for letter in name):
        raise UnfitUsername
    return name
