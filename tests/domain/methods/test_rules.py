"""Which ballots are valid, by the method of the poll."""

from datetime import UTC, datetime

import pytest

from polls.domain.ballot import Ballot, Fault
from polls.domain.methods import method_of
from polls.domain.poll import Choice, Poll, Question
from polls.domain.settings import DEFAULT_SETTINGS, PollSettings

NOW = datetime(2026, 1, 1, tzinfo=UTC)

TWO_OR_THREE = PollSettings(method="multiple", fewest_marks=2, most_marks=3)
ANY_NUMBER = PollSettings(method="multiple", most_marks=None)
SCORE = PollSettings(method="score", most_marks=None, most_points=5)
DOTS = PollSettings(method="dots", most_marks=None, most_points=3, budget=5)


@pytest.mark.parametrize(
    ("settings", "marks", "points", "fault"),
    [
        (DEFAULT_SETTINGS, (1,), None, None),
        (DEFAULT_SETTINGS, (), None, Fault.NO_MARKS),
        (DEFAULT_SETTINGS, (1, 2), None, Fault.TOO_MANY_MARKS),
        (DEFAULT_SETTINGS, (9,), None, Fault.UNKNOWN_CHOICE),
        (DEFAULT_SETTINGS, (1,), (1,), Fault.WRONG_POINTS),
        (TWO_OR_THREE, (1, 2), None, None),
        (TWO_OR_THREE, (1, 2, 4), None, None),
        (TWO_OR_THREE, (), None, Fault.NO_MARKS),
        (TWO_OR_THREE, (1,), None, Fault.TOO_FEW_MARKS),
        (TWO_OR_THREE, (1, 2, 3, 4), None, Fault.TOO_MANY_MARKS),
        (TWO_OR_THREE, (2, 2), None, Fault.REPEATED_MARK),
        (TWO_OR_THREE, (2, 1), None, Fault.REPEATED_MARK),
        (TWO_OR_THREE, (1, 9), None, Fault.UNKNOWN_CHOICE),
        (TWO_OR_THREE, (1, 2), (1, 1), Fault.WRONG_POINTS),
        (ANY_NUMBER, (1, 2, 3, 4), None, None),
        (ANY_NUMBER, (), None, Fault.NO_MARKS),
        (SCORE, (1, 3), (0, 5), None),
        (SCORE, (1, 2, 3, 4), (0, 0, 0, 0), None),
        (SCORE, (), (), Fault.NO_MARKS),
        (SCORE, (1,), (6,), Fault.WRONG_POINTS),
        (SCORE, (1,), (-1,), Fault.WRONG_POINTS),
        (SCORE, (1, 2), (1,), Fault.WRONG_POINTS),
        (SCORE, (1,), None, Fault.WRONG_POINTS),
        (SCORE, (9,), (1,), Fault.UNKNOWN_CHOICE),
        (DOTS, (1, 3), (3, 2), None),
        (DOTS, (1,), (1,), None),
        (DOTS, (1, 3), (3, 3), Fault.OVER_BUDGET),
        (DOTS, (1,), (4,), Fault.WRONG_POINTS),
        (DOTS, (1, 2), (1, 0), None),
        (DOTS, (1, 2), (0, 0), Fault.NO_MARKS),
        (DOTS, (1,), None, Fault.WRONG_POINTS),
        (DOTS, (), (), Fault.NO_MARKS),
    ],
)
def test_a_ballot_is_valid_or_has_a_fault(
    settings: PollSettings, marks: tuple[int, ...], points: tuple[int, ...] | None, fault: Fault | None
) -> None:
    choices = tuple(Choice(choice_id, f"choice {choice_id}") for choice_id in (1, 2, 3, 4))
    poll = Poll(Question(1, "?", NOW), choices, NOW, settings=settings)

    assert method_of(poll).fault_of(poll, Ballot(1, b"voter", marks, points)) == fault
