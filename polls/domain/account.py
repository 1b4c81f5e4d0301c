"""Accounts and the rules of user names and passwords."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime

from polls.domain.errors import UnfitUsername
from polls.domain.permissions import Person, admin

MOST_LETTERS = 150  # in a user name
FEWEST_IN_PASSWORD = 8  # characters
MOST_IN_PASSWORD = 1000

_PUNCTUATION = frozenset(".-_@+")


@dataclass(frozen=True, slots=True)
class Account:
    """An account that may sign in until `disabled_at`. `username` is folded."""

    id: int
    username: str
    created_at: datetime
    disabled_at: datetime | None = None

    @property
    def person(self) -> Person:
        """Return the person that signs in with this account."""
        return admin(self.username)


def folded(username: str) -> str:
    """Return `username` as it is stored and compared: "Ada" and "ada" are one (Unicode's NFKC and case folding)."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", username.strip()).casefold())


def fit(username: str) -> str:
    """Return `username`, folded. Raises UnfitUsername unless it is 1 to 150 letters, digits, and . - _ @ +."""
    name = folded(username)
    if not 0 < len(name) <= MOST_LETTERS or not all(letter.isalnum() or letter in _PUNCTUATION for letter in name):
        raise UnfitUsername
    return name
