from datetime import UTC, datetime, timedelta

import pytest

from polls.domain.draft import REPLACEMENT_CHARACTER, Draft, DraftChoice, comparison_key, is_blank, replace_unprintable

# Characters of many categories that show nothing, and those that show an empty space.
HIDDEN = (
    "\u00ad\u034f\u061c\u17b4\u180e\u200b\u200d\u2060\u2065\ufe0f\ufeff\ufff9\U0001d173\U000e0001\U000e0100\U000e0fff"
)
BLANKS = "\u00a0\u115f\u1160\u2003\u2800\u3000\u3164\uffa0\U0001d159\U00013441"


@pytest.mark.parametrize("text", ["", " ", "\u3000\u00a0", "\u200b\u200f\u202e", "\t\n", "\0", *HIDDEN, *BLANKS])
def test_text_that_shows_nothing_is_blank(text: str) -> None:
    assert is_blank(text)


@pytest.mark.parametrize("text", ["a", " 。", "👍", "\u200fa", "٣", "\u0600", "\u06dd", "\ue000", "ㅤa"])
def test_text_that_shows_something_is_not_blank(text: str) -> None:
    assert not is_blank(text)


@pytest.mark.parametrize("text", ["Tea?", "👩‍👩‍👧‍👦", "\u202eright to left\u202c", "e\u0301", "\U0010fffd", "茶？"])
def test_printable_text_is_unchanged(text: str) -> None:
    assert replace_unprintable(text) == text


@pytest.mark.parametrize(
    "character", ["\0", "\n", "\r", "\t", "\x1b", "\x7f", "\x85", "\u2028", "\ud800", "\ufffe", "\U0010ffff", "\ufdd0"]
)
def test_characters_that_do_not_fit_in_a_line_of_a_page_are_replaced(character: str) -> None:
    assert replace_unprintable(f"a{character}b") == f"a{REPLACEMENT_CHARACTER}b"


@pytest.mark.parametrize(
    ("one", "other"),
    [("Yes", "YES"), ("Yes ", " yes"), ("a  b", "A b"), ("é", "e\u0301"), ("ẞ", "ss")]
    + [(f"a{hidden}b", "ab") for hidden in HIDDEN]
    + [(f"a{blank}b{blank}", "a b") for blank in BLANKS]
    + [("❤\ufe0f", "❤"), ("e\u034f\u0301", "é"), ("می\u200cخواهم", "میخواهم")],
)
def test_texts_that_look_the_same_are_equal(one: str, other: str) -> None:
    assert comparison_key(one) == comparison_key(other)


@pytest.mark.parametrize(
    ("one", "other"), [("m2", "m²"), ("ab", "a b"), ("e", "é"), ("👩‍👧", "👩👧"), ("❤️‍🔥", "❤️🔥"), ("🏴󠁧󠁢󠁳󠁣󠁴󠁿", "🏴󠁧󠁢󠁷󠁬󠁳󠁿")]
)
def test_texts_that_look_different_are_not_equal(one: str, other: str) -> None:
    assert comparison_key(one) != comparison_key(other)


@pytest.mark.parametrize(
    ("published", "closes", "choices", "is_open"),
    [(0, None, 1, True), (0, 1, 1, True), (1, None, 1, False), (0, 0, 1, False), (0, None, 0, False)],
)
def test_a_draft_with_choices_is_open_from_its_publication_until_it_closes(
    published: int, closes: int | None, choices: int, is_open: bool
) -> None:
    now = datetime(2026, 5, 3, 18, tzinfo=UTC)
    closes_at = None if closes is None else now + timedelta(seconds=closes)

    draft = Draft("Tea?", now + timedelta(seconds=published), closes_at, (DraftChoice("Yes"),) * choices)

    assert draft.is_open(now) is is_open
