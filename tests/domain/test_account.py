import pytest

from polls.domain.account import fold_username, validate_username
from polls.domain.errors import InvalidUsername


@pytest.mark.parametrize("name", ["ada", "ada.lovelace@example.org", "a-b_c+d", "管理员", "ángel", "x" * 150, "42"])
def test_a_user_name_is_letters_digits_and_some_punctuation(name: str) -> None:
    assert validate_username(name) == name


@pytest.mark.parametrize(
    "name", ["", " ", "a b", "a\0", "a\nb", "x" * 151, "a/b", "<b>", "😀", "a\u200db", "\u202eada"]
)
def test_any_other_user_name_is_rejected(name: str) -> None:
    with pytest.raises(InvalidUsername):
        validate_username(name)


@pytest.mark.parametrize(
    ("written", "stored"), [("Ada", "ada"), (" ADA ", "ada"), ("ＡＤＡ", "ada"), ("Straße", "strasse")]
)
def test_case_and_width_make_no_difference_in_a_user_name(written: str, stored: str) -> None:
    assert fold_username(written) == fold_username(stored) == stored
