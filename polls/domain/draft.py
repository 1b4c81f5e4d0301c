"""What somebody wants a poll to be, before it is one."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime

MOST_CHOICES = 100
MOST_CHARACTERS = 200  # in a question, and in a choice
ILLEGIBLE = "\ufffd"  # what also stands where nobody could read what arrived


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


def legible(text: str) -> str:
    """The same text with ILLEGIBLE for what can't stand in a line of a page: line breaks, NUL, halves of characters."""
    return "".join(ILLEGIBLE if _is_unfit(character) else character for character in text)


def plain(text: str) -> str:
    """What makes a reader take two texts for the same: capitals and spaces aside."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def _is_unfit(character: str) -> bool:
    code = ord(character)
    # Those are no characters, and never will be (Unicode, section 23.7).
    is_none = code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF
    return is_none or unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}
