"""Accounts and the rules of user names and passwords."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime

from polls.domain.errors import InvalidUsername
from polls.domain.permissions import Person

MAX_USERNAME_LENGTH = 150  # characters
MIN_PASSWORD_LENGTH = 8  # characters
MAX_PASSWORD_LENGTH = 1000

_MAX_UNFOLDED_LENGTH = 4 * MAX_USERNAME_LENGTH  # characters; folding joins letters and their marks
_PUNCTUATION = frozenset(".-_@+")


@dataclass(frozen=True, slots=True)
class Account:
    """An account of an admin, who may sign in until `disabled_at`. `username` is folded."""

    id: int
    username: str
    created_at: datetime
    disabled_at: datetime | None = None

    @property
    def person(self) -> Person:
        return Person(f"admin:{self.username}", is_admin=True)


def fold_username(username: str) -> str:
    """Return `username` as it is stored and compared: "Ada" and "ada" are one (Unicode's NFKC and case folding).

    A text that is too long for any user name is returned as it is: normalizing long texts can take seconds.
    """
    if len(username) > _MAX_UNFOLDED_LENGTH:
        return username
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", username.strip()).casefold())


def validate_username(username: str) -> str:
    """Return `username`, folded. Raises InvalidUsername unless it is 1 to 150 letters, digits, and . - _ @ +."""
    folded = fold_username(username)
    if not 0 < len(folded) <= MAX_USERNAME_LENGTH or not all(
        letter.isalnum() or letter in _PUNCTUATION for letter in folded
    ):
        raise InvalidUsername
    return folded
