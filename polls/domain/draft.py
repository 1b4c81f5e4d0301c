"""What somebody wants a poll to be, before it is one."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime

MOST_CHOICES = 100
MOST_CHARACTERS = 200  # in a question, and in a choice


@dataclass(frozen=True, slots=True)
class DraftChoice:
    """A choice as it shall be; `id` is None of one that is new."""

    text: str
    id: int | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """A poll as it shall be: its choices in their order, and the ids of those that shall go.

    What it doesn't name stays. The dates are aware datetimes. `edition` is the one that it was drafted from.
    """

    text: str
    pub_date: datetime
    closes_at: datetime | None
    choices: tuple[DraftChoice, ...]
    removed: frozenset[int] = frozenset()
    edition: int = 0


def is_blank(text: str) -> bool:
    """Whether there is nothing to be seen in it: spaces, marks of direction, joiners of nothing."""
    return all(unicodedata.category(character)[0] in "ZC" for character in text)


def is_printable(text: str) -> bool:
    """Whether every character can stand in a line of a page: no line breaks, no NUL, no half of a character."""
    return not any(_is_unfit(character) for character in text)


def is_same(one: str, other: str) -> bool:
    """Whether a reader would take them for the same: capitals and spaces aside."""
    return _plain(one) == _plain(other)


def _is_unfit(character: str) -> bool:
    category, code = unicodedata.category(character), ord(character)
    # U+FFFD stands where something could not be read; the others are no characters for ever (Unicode, section 23.7).
    is_none = code == 0xFFFD or code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF
    return category in {"Cc", "Cs", "Zl", "Zp"} or is_none


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())
