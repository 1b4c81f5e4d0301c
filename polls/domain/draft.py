"""Drafts: the contents of a poll before it is saved, and the rules of their texts."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime

MAX_CHOICES = 100
MAX_TEXT_LENGTH = 200  # characters of a question or a choice
REPLACEMENT_CHARACTER = "\ufffd"  # Unicode's replacement character; decoding also puts it in place of invalid bytes


@dataclass(frozen=True, slots=True)
class DraftChoice:
    """A choice in a draft; `id` is None if it is new."""

    text: str
    id: int | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """A poll's new contents: its `choices` in their order, and the ids of the choices to be `removed`.

    Saved choices that are in neither are kept. The dates are aware datetimes. `edition` is the edition of the poll from
    which the draft was made.
    """

    text: str
    pub_date: datetime
    closes_at: datetime | None
    choices: tuple[DraftChoice, ...]
    removed: frozenset[int] = frozenset()
    edition: int = 0


def is_blank(text: str) -> bool:
    """Return whether `text` shows nothing: it has only spaces, controls and format characters."""
    return all(unicodedata.category(character)[0] in "ZC" for character in text)


def replace_unprintable(text: str) -> str:
    """Return `text` with REPLACEMENT_CHARACTER in place of line breaks, controls, lone surrogates and noncharacters."""
    return "".join(REPLACEMENT_CHARACTER if _is_unprintable(character) else character for character in text)


def comparison_key(text: str) -> str:
    """Return a key that is equal for texts that look the same to readers, ignoring case and repeated spaces."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def _is_unprintable(character: str) -> bool:
    code = ord(character)
    # Noncharacters: never assigned (Unicode, section 23.7).
    is_noncharacter = code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF
    return is_noncharacter or unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}
