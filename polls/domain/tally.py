"""Results of a poll: totals, percentages and leading choices."""

from collections.abc import Iterable
from dataclasses import dataclass

from polls.domain.poll import Choice


@dataclass(frozen=True, slots=True)
class ChoiceResult:
    """The result of one choice: `share` is in whole percent; `leads` is true for every choice with the most votes."""

    choice: Choice
    share: int
    leads: bool


@dataclass(frozen=True, slots=True)
class Tally:
    """The total of votes, and the results of all choices in their order."""

    votes: int
    results: tuple[ChoiceResult, ...]


def tally(choices: Iterable[Choice]) -> Tally:
    """Return the results of `choices`. No choice leads before the first vote."""
    choices = tuple(choices)
    votes = [choice.votes for choice in choices]
    highest = max(votes, default=0)
    return Tally(
        votes=sum(votes),
        results=tuple(
            ChoiceResult(choice, share, leads=0 < choice.votes == highest)
            for choice, share in zip(choices, whole_percentages(votes), strict=True)
        ),
    )


def whole_percentages(votes: list[int]) -> list[int]:
    """Return shares in whole percent that add up to 100, or all 0 if there are no votes.

    Each is its exact share rounded down or up: those with the largest remainders are rounded up, earlier ones first
    among equals (the largest remainder method, also called Hare-Niemeyer).
    """
    total = sum(votes)
    if total == 0:
        return [0] * len(votes)
    shares = [100 * count // total for count in votes]
    by_remainder = sorted(range(len(votes)), key=lambda index: -(100 * votes[index] % total))
    for index in by_remainder[: 100 - sum(shares)]:
        shares[index] += 1
    return shares
