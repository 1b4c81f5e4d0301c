"""Each method's tally, compared with a few lines of Python that count the ballots themselves."""

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from fractions import Fraction

import pytest

from polls.domain.ballot import Ballot
from polls.domain.distribution import ScoreCounts, distribution_of
from polls.domain.methods import method_of
from polls.domain.poll import Choice, Poll, Question
from polls.domain.settings import PollSettings
from polls.domain.tally import Figure, Tally

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CHOICES = (1, 2, 3, 4)

SINGLE = PollSettings()
ANY_NUMBER = PollSettings(method="multiple", most_marks=None)
SCORE = PollSettings(method="score", most_marks=None, most_points=5)
DOTS = PollSettings(method="dots", most_marks=None, most_points=5, budget=7)

Marks = Mapping[int, int]  # {choice: points}

PROFILES = 2000  # of each method


def profiles(points: Sequence[int], most: int = 4) -> Iterator[list[Marks]]:
    """Yield random lists of ballots, the same in each run."""
    dice = random.Random(17)
    for _ in range(PROFILES):
        yield [
            {choice: dice.choice(points) for choice in dice.sample(CHOICES, dice.randint(1, most))}
            for _ in range(dice.randint(0, 25))
        ]


def poll_with(rules: PollSettings, cast: Sequence[Marks]) -> Poll:
    """Return the poll with the counts that the database keeps of these ballots."""
    choices = tuple(
        Choice(
            choice,
            "?",
            votes=sum(choice in ballot for ballot in cast),
            points=sum(ballot.get(choice, 0) for ballot in cast),
        )
        for choice in CHOICES
    )
    return Poll(Question(1, "?", NOW), choices, NOW, ballots=len(cast), settings=rules)


def tally_of(rules: PollSettings, cast: Sequence[Marks]) -> Tally:
    poll = poll_with(rules, cast)
    for ballot in cast:
        points = None if rules.most_points is None else tuple(ballot[mark] for mark in sorted(ballot))
        assert method_of(poll).fault_of(poll, Ballot(1, b"voter", tuple(sorted(ballot)), points)) is None
    return method_of(poll).tally(poll)


def leaders(tally: Tally) -> set[int]:
    return {result.choice.id for result in tally.results if result.leads}


def best(values: Mapping[int, Fraction]) -> set[int]:
    return {choice for choice, value in values.items() if value == max(values.values()) > 0}


def is_rounded(figure: Figure | None, exact: Fraction) -> bool:
    """Return whether a figure is what it is written for, rounded or with the sign of a bound."""
    assert figure
    if figure.sign:
        return exact < figure.value if figure.sign == "<" else exact > figure.value
    return abs(Fraction(figure.value) - exact) <= Fraction(1, 2 * 10**figure.decimals) + Fraction(1, 10**9)


def assert_bars(tally: Tally, exact: Iterable[Fraction]) -> None:
    for result, part in zip(tally.results, exact, strict=True):
        assert result.bar == pytest.approx(max(float(100 * part), 0.9) if part else 0, abs=0.001)


def assert_sum_of_shares(tally: Tally) -> None:
    """Assert that shares add up to 100% before rounding; here none is so small that its bar is lengthened."""
    assert sum(result.bar for result in tally.results) == pytest.approx(100 if tally.voters else 0, abs=0.01)


def test_single() -> None:
    for cast in profiles([0], most=1):
        tally = tally_of(SINGLE, cast)

        shares = {choice: Fraction(sum(choice in ballot for ballot in cast), len(cast) or 1) for choice in CHOICES}
        assert_sum_of_shares(tally)
        assert leaders(tally) == best(shares)
        assert all(is_rounded(result.figure, 100 * shares[result.choice.id]) for result in tally.results)
        assert_bars(tally, shares.values())
        assert (tally.voters, tally.votes) == (len(cast), len(cast))


def test_multiple_is_approval_by_voters() -> None:
    for cast in profiles([0]):
        tally = tally_of(ANY_NUMBER, cast)

        shares = {choice: Fraction(sum(choice in ballot for ballot in cast), len(cast) or 1) for choice in CHOICES}
        assert leaders(tally) == best(shares)
        assert all(is_rounded(result.figure, 100 * shares[result.choice.id]) for result in tally.results)
        assert_bars(tally, shares.values())
        assert (tally.voters, tally.votes, tally.adds_up) == (len(cast), sum(map(len, cast)), True)


def test_score_is_the_average_of_those_who_rated() -> None:
    for cast in profiles(range(6)):
        tally = tally_of(SCORE, cast)

        scores = {choice: [ballot[choice] for ballot in cast if choice in ballot] for choice in CHOICES}
        averages = {choice: Fraction(sum(given), len(given)) for choice, given in scores.items() if given}
        assert leaders(tally) == (best(averages) if averages else set())
        for result in tally.results:
            assert result.choice.votes == len(scores[result.choice.id])
            if result.choice.id in averages:
                assert is_rounded(result.figure, averages[result.choice.id])
            else:
                assert result.figure is None
        assert_bars(tally, (averages.get(choice, Fraction(0)) / 5 for choice in CHOICES))


def test_dots_are_shares_of_all_points() -> None:
    for cast in profiles([1, 2, 3], most=2):
        tally = tally_of(DOTS, cast)

        points = {choice: sum(ballot.get(choice, 0) for ballot in cast) for choice in CHOICES}
        shares = {choice: Fraction(count, sum(points.values()) or 1) for choice, count in points.items()}
        assert_sum_of_shares(tally)
        assert leaders(tally) == best(shares)
        assert all(is_rounded(result.figure, 100 * shares[result.choice.id]) for result in tally.results)
        assert_bars(tally, shares.values())
        assert (tally.voters, tally.points) == (len(cast), sum(points.values()))


def test_the_distribution_of_scores_adds_up_to_the_averages() -> None:
    for cast in profiles(range(6)):
        counts = ScoreCounts(1, 1, len(cast), NOW, Counter(pair for ballot in cast for pair in ballot.items()))
        distribution = distribution_of(poll_with(SCORE, cast), counts)

        assert distribution.is_current
        for row, result in zip(distribution.choices, tally_of(SCORE, cast).results, strict=True):
            given = [ballot[result.choice.id] for ballot in cast if result.choice.id in ballot]
            assert [(level.score, level.voters) for level in row.scores] == [
                (score, given.count(score)) for score in (5, 4, 3, 2, 1, 0)
            ]
            assert sum(level.voters for level in row.scores) == result.choice.votes
            assert sum(level.score * level.voters for level in row.scores) == result.choice.points
            assert sum(level.bar for level in row.scores) == pytest.approx(100 if given else 0, abs=0.01)
            assert row.average == result.figure


@pytest.mark.parametrize(
    "counts",
    [
        ScoreCounts(2, 1, 2, NOW, {(1, 5): 2}),  # another vote
        ScoreCounts(2, 1, 1, NOW, {(1, 4): 1}),  # a changed vote
        ScoreCounts(2, 1, 1, NOW, {(1, 5): 1, (2, 0): 1}),
        ScoreCounts(1, 1, 1, NOW, {(1, 9): 1}),  # a ballot against the rules
    ],
)
def test_a_distribution_of_other_votes_than_the_results_is_not_current(counts: ScoreCounts) -> None:
    poll = poll_with(SCORE, [{1: 5}])

    assert not distribution_of(poll, counts).is_current
    assert distribution_of(poll, ScoreCounts(9, 1, 1, NOW, {(1, 5): 1})).is_current


def test_a_choice_without_scores_has_no_average_and_one_of_zeros_has() -> None:
    tally = tally_of(SCORE, [{1: 0}, {1: 0, 2: 5}, {2: 4}])

    assert [result.figure for result in tally.results] == [Figure(0, 1), Figure(4.5, 1), None, None]


def test_averages_get_a_second_decimal_if_it_tells_more_of_them_apart() -> None:
    tally = tally_of(SCORE, [{1: 4, 2: 4}] * 48 + [{1: 4, 2: 5}, {1: 5, 2: 5}])

    assert [result.figure.value for result in tally.results[:2] if result.figure] == [4.02, 4.04]
    assert tally_of(SCORE, [{1: 4, 2: 1}]).decimals == 1


def test_dots_of_no_points_are_not_stored() -> None:
    poll = poll_with(DOTS, [])
    ballot = Ballot(1, b"voter", (1, 2, 3), (2, 0, 1))

    assert method_of(poll).fault_of(poll, ballot) is None
    assert method_of(poll).stored(ballot) == Ballot(1, b"voter", (1, 3), (2, 1))
