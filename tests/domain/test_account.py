import pytest

from polls.domain.account import fit, folded
from polls.domain.errors import UnfitUsername


@pytest.mark.parametrize("name", ["ada", "ada.lovelace@example.org", "a-b_c+d", "管理员", "ángel", "x" * 150, "42"])
def test_letters_digits_and_a_few_marks_make_a_user_name(name: str) -> None:
    assert fit(name) == name


@pytest.mark.parametrize(
    "name", ["", " ", "a b", "a\0", "a\nb", "x" * 151, "a/b", "<b>", "😀", "a\u200db", "\u202eada"]
)
def test_nothing_else_does(name: str) -> None:
    with pytest.raises(UnfitUsername):
        fit(name)


@pytest.mark.parametrize(
    ("written", "kept"), [("Ada", "ada"), (" ADA ", "ada"), ("ＡＤＡ", "ada"), ("Straße", "strasse")]
)
def test_a_user_name_is_one_however_it_is_written(written: str, kept: str) -> None:
    assert folded(written) == folded(kept) == kept
