"""Drafts: the contents of a poll before it is saved, and the rules of their texts."""

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime

from polls.domain.poll import Poll
from polls.domain.settings import DEFAULT_SETTINGS, PollSettings

MAX_CHOICES = 100
MAX_TEXT_LENGTH = 200  # characters of a question or a choice
REPLACEMENT_CHARACTER = "\ufffd"  # Unicode's replacement character; decoding also puts it in place of invalid bytes


# Invisible characters: those that Unicode ignores by default, and the anchors of annotations.
_HIDDEN = (
    "\u00ad\u034f\u061c\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
# Characters displayed as an empty space: controls, fillers, and blank symbols. str.split() handles the others.
_BLANK = re.compile("[\x00-\x1f\x7f-\x9f\u115f\u1160\u2800\u3164\uffa0\U00013441\U00013442\U00016fe4\U0001d159]")
# Joined emojis look different from separate ones, and so do the flags that tags spell.
_EMOJI = "\u00a9\u00ae\u203c-\u3299\U0001f000-\U0001faff"
_HIDDEN_OR_JOINING = re.compile(
    rf"((?<=[{_EMOJI}\ufe0f])\u200d(?=[{_EMOJI}])|\U0001f3f4[\U000e0020-\U000e007e]+\U000e007f)|[{_HIDDEN}]"
)


@dataclass(frozen=True, slots=True)
class DraftChoice:
    """A choice in a draft; `id` is None if it is new."""

    text: str
    id: int | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """A poll's new contents: its `choices` in their order, and the ids of the choices to be `removed`.

    Saved choices that are in neither are kept. The dates are aware datetimes. `edition` is the edition of the poll from
    which the draft was made. `at_once` means that `pub_date` is the time at which the form was sent. `custom_slug` is
    the poll's new one, empty for none; None keeps what it has.
    """

    text: str
    pub_date: datetime
    closes_at: datetime | None
    choices: tuple[DraftChoice, ...]
    removed: frozenset[int] = frozenset()
    edition: int = 0
    at_once: bool = False
    settings: PollSettings = DEFAULT_SETTINGS
    custom_slug: str | None = None

    def is_open(self, now: datetime) -> bool:
        """Return whether a poll with these contents is public and accepts votes at `now`."""
        return bool(self.choices) and self.pub_date <= now and (self.closes_at is None or now < self.closes_at)

    def is_saved_in(self, poll: Poll) -> bool:
        """Return whether `poll` has these contents already, as it has when a form is sent twice."""
        question = poll.question
        pub_date = question.pub_date if self.at_once else self.pub_date
        saved = (question.text, question.pub_date, question.closes_at, *(choice.text for choice in poll.choices))
        ours = (self.text, pub_date, self.closes_at, *(choice.text for choice in self.choices))
        is_same_slug = self.custom_slug is None or self.custom_slug == (question.custom_slug or "")
        is_same = saved == ours and self.settings == poll.settings and is_same_slug
        return is_same and self.removed.isdisjoint(choice.id for choice in poll.choices)


def is_blank(text: str) -> bool:
    """Return whether nothing of `text` is visible."""
    return not _visible(text)


def replace_unprintable(text: str) -> str:
    """Return `text` with REPLACEMENT_CHARACTER in place of line breaks, controls, lone surrogates and noncharacters."""
    return "".join(REPLACEMENT_CHARACTER if _is_unprintable(character) else character for character in text)


def comparison_key(text: str) -> str:
    """Return a key that is equal for texts that look the same to readers, ignoring case and repeated spaces."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", _visible(text)).casefold())


def _visible(text: str) -> str:
    """Return `text` without invisible characters, and with single spaces for blank ones."""
    return " ".join(_BLANK.sub(" ", _HIDDEN_OR_JOINING.sub(r"\1", text)).split())


def _is_unprintable(character: str) -> bool:
    code = ord(character)
    # Noncharacters: never assigned (Unicode, section 23.7).
    is_noncharacter = code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF
    return is_noncharacter or unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}
