import pytest

from polls.domain.draft import REPLACEMENT_CHARACTER, comparison_key, is_blank, replace_unprintable


@pytest.mark.parametrize("text", ["", " ", "\u3000\u00a0", "\u200b\u200f\u202e", "\t\n", "\0"])
def test_text_that_shows_nothing_is_blank(text: str) -> None:
    assert is_blank(text)


@pytest.mark.parametrize("text", ["a", " 。", "👍", "\u200fa", "٣"])
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
    ("one", "other"), [("Yes", "YES"), ("Yes ", " yes"), ("a  b", "A b"), ("é", "e\u0301"), ("ẞ", "ss")]
)
def test_texts_that_look_the_same_are_equal(one: str, other: str) -> None:
    assert comparison_key(one) == comparison_key(other)


@pytest.mark.parametrize(("one", "other"), [("m2", "m²"), ("ab", "a b"), ("e", "é")])
def test_texts_that_look_different_are_not_equal(one: str, other: str) -> None:
    assert comparison_key(one) != comparison_key(other)
