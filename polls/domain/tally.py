"""From votes to how a poll stands: totals, shares, who leads."""

from collections.abc import Iterable
from dataclasses import dataclass

from polls.domain.poll import Choice


@dataclass(frozen=True, slots=True)
class ChoiceResult:
    """How one choice stands: `share` is a whole percentage, `leads` is true for every choice with the most votes."""

    choice: Choice
    share: int
    leads: bool


@dataclass(frozen=True, slots=True)
class Tally:
    """How a whole poll stands, choice by choice, in the order of the choices."""

    votes: int
    results: tuple[ChoiceResult, ...]


def tally(choices: Iterable[Choice]) -> Tally:
    """Count the votes of `choices` and share out one hundred percent among them.

    Nobody leads while nobody has voted.
    """
    choices = tuple(choices)
    votes = [choice.votes for choice in choices]
    most = max(votes, default=0)
    return Tally(
        votes=sum(votes),
        results=tuple(
            ChoiceResult(choice, share, leads=0 < choice.votes == most)
            for choice, share in zip(choices, whole_percentages(votes), strict=True)
        ),
    )


def whole_percentages(votes: list[int]) -> list[int]:
    """Shares in whole percent that add up to 100, or all 0 where there are no votes.

    Each is its exact share rounded down or up; those that lose the most by rounding down are rounded up
    (the method of the largest remainder, named after Hare and Niemeyer), earlier ones first among equals.
    """
    total = sum(votes)
    if total == 0:
        return [0] * len(votes)
    shares = [100 * count // total for count in votes]
    by_loss = sorted(range(len(votes)), key=lambda place: -(100 * votes[place] % total))
    for place in by_loss[: 100 - sum(shares)]:
        shares[place] += 1
    return shares
