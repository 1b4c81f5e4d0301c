import pytest

from polls.domain.refused_words import RefusedWords

REFUSED = RefusedWords(["Spam", "buy now", "垃圾", "c++", "é"])


@pytest.mark.parametrize(
    "text",
    [
        "spam",
        "No SPAM!",
        "ｓｐａｍ or ham?",
        "sp\u200bam",
        "Buy   now?",
        "这是垃圾邮件",
        "c++?",
        "E\u0301",
        "垃圾spam",
        "(spam)",
        "_spam_",
    ],
)
def test_a_refused_word_is_found_in_any_case_and_width(text: str) -> None:
    assert REFUSED.find_in(text)


@pytest.mark.parametrize("text", ["spammer", "antispam", "", "buynow", "cafés", "垃", "spam1"])
def test_whole_words_are_refused(text: str) -> None:
    assert REFUSED.find_in(text) is None


def test_nothing_is_refused_without_words() -> None:
    assert RefusedWords([]).find_in("spam") is None
    assert RefusedWords(["\u200b"]).find_in("spam") is None
