from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polls.domain.poll import Choice
from polls.domain.tally import tally, whole_percentages

counts = st.lists(st.integers(0, 10**12), min_size=1, max_size=100)


def choices(*votes: int) -> list[Choice]:
    return [Choice(number, f"choice {number}", count) for number, count in enumerate(votes)]


@given(counts)
def test_shares_add_up_to_a_hundred_once_there_are_votes(votes: list[int]) -> None:
    assert sum(whole_percentages(votes)) == (100 if any(votes) else 0)


@given(counts.filter(any))
def test_a_share_is_the_exact_one_rounded_down_or_up(votes: list[int]) -> None:
    for count, share in zip(votes, whole_percentages(votes), strict=True):
        assert abs(Fraction(100 * count, sum(votes)) - share) < 1


@given(counts)
def test_more_votes_never_show_a_smaller_share(votes: list[int]) -> None:
    shares = [share for _, share in sorted(zip(votes, whole_percentages(votes), strict=True))]

    assert shares == sorted(shares)


@pytest.mark.parametrize(
    ("votes", "shares"),
    [([1, 1, 1], [34, 33, 33]), ([1, 2], [33, 67]), ([0, 0], [0, 0]), ([7], [100]), ([668, 398, 218], [52, 31, 17])],
)
def test_shares_of_some_polls(votes: list[int], shares: list[int]) -> None:
    assert whole_percentages(votes) == shares


def test_every_choice_with_the_most_votes_leads() -> None:
    assert [result.leads for result in tally(choices(3, 5, 5)).results] == [False, True, True]


def test_no_choice_leads_before_the_first_vote() -> None:
    assert not any(result.leads for result in tally(choices(0, 0)).results)


def test_the_total_is_the_sum_of_the_votes() -> None:
    assert tally(choices(3, 5, 5)).votes == 13


def test_a_tally_keeps_the_order_of_the_choices() -> None:
    assert [result.choice.votes for result in tally(choices(1, 9, 4)).results] == [1, 9, 4]
