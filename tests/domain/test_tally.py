from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polls.domain.poll import Choice
from polls.domain.tally import Figure, Tally, add_up, shares, tally_shares

counts = st.lists(st.integers(0, 10**12), min_size=1, max_size=100)


def choices(*votes: int) -> list[Choice]:
    return [Choice(number, f"choice {number}", count) for number, count in enumerate(votes)]


def tally(*votes: int) -> Tally:
    return tally_shares(choices(*votes), sum(votes), votes)


def written(votes: list[int]) -> list[str]:
    return [f"{share.sign}{share.value:.{share.decimals}f}" for share in shares(votes, sum(votes))]


def limits(share: Figure) -> tuple[Fraction, Fraction]:
    """Return the least and the greatest percentage that a reader takes a share for."""
    unit = Fraction(1, 10**share.decimals)
    rounded = round(Fraction(share.value) / unit) * unit
    if share.sign:
        return (Fraction(0), unit) if share.sign == "<" else (rounded, Fraction(100))
    return rounded - unit / 2, rounded + unit / 2


@given(counts.filter(any))
def test_a_share_says_no_more_than_what_is_true(votes: list[int]) -> None:
    for count, share in zip(votes, shares(votes, sum(votes)), strict=True):
        least, greatest = limits(share)
        assert least <= Fraction(100 * count, sum(votes)) <= greatest


@given(counts)
def test_equal_counts_have_equal_shares_and_bars(votes: list[int]) -> None:
    results = tally(*votes).results

    for count in set(votes):
        assert len({(result.figure, result.bar) for result in results if result.choice.votes == count}) == 1


@given(counts)
def test_more_votes_never_show_a_smaller_share_or_bar(votes: list[int]) -> None:
    results = sorted(tally(*votes).results, key=lambda result: result.choice.votes)

    bars = [result.bar for result in results]
    assert bars == sorted(bars)
    percents = [(result.figure.sign != "<", result.figure.value) for result in results if result.choice.votes]
    assert [percent for _, percent in percents] == sorted(percent for _, percent in percents)


@given(counts.filter(any))
def test_none_and_all_of_the_votes_are_written_only_where_they_are_exact(votes: list[int]) -> None:
    for count, share in zip(votes, shares(votes, sum(votes)), strict=True):
        assert ((share.value, share.sign) == (0, "")) is (count == 0)
        assert ((share.value, share.sign) == (100, "")) is (count == sum(votes))


@pytest.mark.parametrize(
    ("votes", "texts"),
    [
        ([4, 4, 1], ["44", "44", "11"]),
        ([1, 1, 1], ["33", "33", "33"]),
        ([1, 2], ["33", "67"]),
        ([0, 0], ["0", "0"]),
        ([7], ["100"]),
        ([668, 398, 218], ["52", "31", "17"]),
        ([1234, 1, 0], [">99", "<1", "0"]),
        ([10**7, 1, 0], [">99", "<1", "0"]),
        ([501, 499], ["50.1", "49.9"]),
        ([5001, 4999], ["50", "50"]),  # one decimal doesn't tell them apart either
        ([600, 300, 3, 1], ["66.4", "33.2", "0.3", "0.1"]),
        ([99_960, 35, 5], [">99", "<1", "<1"]),
        ([600_000, 300_000, 600, 200, 0], ["66.6", "33.3", "0.1", "<0.1", "0.0"]),
    ],
)
def test_shares_of_some_polls(votes: list[int], texts: list[str]) -> None:
    assert written(votes) == texts


@pytest.mark.parametrize(
    ("votes", "adds_up"),
    [
        ([3, 1], True),
        ([0, 0], True),
        ([4, 4, 1], False),
        ([1, 1, 1], False),
        ([1, 1, 1, 1, 1, 1], False),  # six times 17%
        ([1234, 1, 0], True),  # more than 99% and less than 1%
        ([500, 500, 1], False),  # 50%, 50% and less than 1%
    ],
)
def test_whether_shares_add_up_to_a_hundred_as_they_are_written(votes: list[int], adds_up: bool) -> None:
    assert tally(*votes).adds_up is adds_up
    if any(votes):
        assert add_up(shares(votes, sum(votes))) is adds_up


def test_a_bar_is_as_long_as_the_exact_share() -> None:
    assert [result.bar for result in tally(4, 4, 1).results] == [44.444, 44.444, 11.111]


def test_the_bar_of_one_vote_in_millions_is_visible_and_that_of_none_is_not_there() -> None:
    sliver, nothing, whole = [result.bar for result in tally(1, 0, 10**7).results]

    assert 0.5 < sliver < 1
    assert nothing == 0
    assert whole == 100


@pytest.mark.parametrize(("votes", "is_tied"), [((3, 5, 5), True), ((3, 5, 4), False), ((0, 0), False), ((), False)])
def test_a_tally_is_tied_if_several_choices_have_the_most_votes(votes: tuple[int, ...], is_tied: bool) -> None:
    assert tally(*votes).is_tied is is_tied


def test_every_choice_with_the_most_votes_leads() -> None:
    assert [result.leads for result in tally(3, 5, 5).results] == [False, True, True]


def test_no_choice_leads_before_the_first_vote() -> None:
    assert not any(result.leads for result in tally(0, 0).results)


def test_the_total_is_the_sum_of_the_votes() -> None:
    assert tally(3, 5, 5).votes == 13


def test_a_tally_keeps_the_order_of_the_choices() -> None:
    assert [result.choice.votes for result in tally(1, 9, 4).results] == [1, 9, 4]
