"""Words that polls of visitors without an account may not contain."""

import re
import unicodedata
from collections.abc import Iterable

from polls.domain.draft import comparison_key

# A letter or digit of a script that puts spaces between words. Chinese, Japanese, Korean and Thai don't, or attach
# particles: a word of these is found within others, too.
_OF_SPACED_SCRIPT = (
    r"[^\W_\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]"
)
_STARTS_WORD, _ENDS_WORD = (re.compile(pattern) for pattern in (_OF_SPACED_SCRIPT, f".*{_OF_SPACED_SCRIPT}$"))


class RefusedWords:
    """Words that a poll may not contain, compared without case, width and invisible characters."""

    def __init__(self, words: Iterable[str]) -> None:
        patterns = [_pattern(folded) for word in words if (folded := _fold(word))]
        self._pattern = re.compile("|".join(patterns)) if patterns else None

    def find_in(self, text: str) -> str | None:
        """Return the first refused word in `text`, as it is compared, or None. Long texts take long to compare."""
        found = self._pattern.search(_fold(text)) if self._pattern else None
        return found[0] if found else None


def _fold(text: str) -> str:
    return unicodedata.normalize("NFKC", comparison_key(unicodedata.normalize("NFKC", text)))


def _pattern(word: str) -> str:
    before = rf"(?<!{_OF_SPACED_SCRIPT})" if _STARTS_WORD.match(word) else ""
    after = rf"(?!{_OF_SPACED_SCRIPT})" if _ENDS_WORD.match(word) else ""
    return before + re.escape(word) + after
