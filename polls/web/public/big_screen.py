"""The layout of results on one screen: the choices that are shown, and the sizes of texts."""

from dataclasses import replace
from unicodedata import east_asian_width

from polls.domain.poll import Poll
from polls.domain.tally import ChoiceResult, Tally

# More can't be read from the back of a room. static/css/presenter/screen.css has these numbers too.
MAX_ROWS = 20
_MAX_ROWS_IN_ONE_COLUMN = 8

# The longest texts with large letters, in columns as of a terminal: Chinese characters take two.
_LARGE_QUESTION, _MEDIUM_QUESTION = 48, 120
_LARGE_CHOICE, _LARGE_CHOICE_IN_TWO_COLUMNS = 40, 24


def leading_first(tally: Tally) -> Tally:
    """Return `tally` with the leading choices first, if the screen can't show all. Ties stay in the ballot's order."""
    if len(tally.results) <= MAX_ROWS:
        return tally
    return replace(tally, results=tuple(sorted(tally.results, key=_rank, reverse=True)))


def _rank(result: ChoiceResult) -> tuple[float, int, int]:
    # The bar first: it is as long as what the poll's method counts, except for slivers.
    return result.bar, result.choice.points, result.choice.votes


def text_sizes(poll: Poll) -> dict[str, str]:
    """Return the sizes of the question and of the choices, for CSS: "large", "medium" or "small"."""
    question = _columns(poll.question.text)
    choice = max((_columns(choice.text) for choice in poll.choices), default=0)
    is_one_column = len(poll.choices) <= _MAX_ROWS_IN_ONE_COLUMN
    large_choice = _LARGE_CHOICE if is_one_column else _LARGE_CHOICE_IN_TWO_COLUMNS
    return {
        "question_size": "large"
        if question <= _LARGE_QUESTION
        else "medium"
        if question <= _MEDIUM_QUESTION
        else "small",
        "choice_size": "large" if choice <= large_choice else "small",
    }


def _columns(text: str) -> int:
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)
