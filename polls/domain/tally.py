"""Results of a poll: totals, shares and leading choices."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from polls.domain.poll import Choice

_SHORTEST_BAR = 0.9  # percent: three pixels on a phone


@dataclass(frozen=True, slots=True)
class Share:
    """A share of the votes as it is written: `percent` is rounded to `decimals` places.

    `sign` is "<" or ">" where the rounded share would be none or all of the votes, and the exact one isn't: <1%, >99%.
    """

    percent: float
    decimals: int
    sign: Literal["", "<", ">"] = ""


@dataclass(frozen=True, slots=True)
class ChoiceResult:
    """The result of one choice: `bar` is the length of its bar in percent, `leads` is true for all with the most votes.

    The bar is as long as the exact share, but always visible if there is a vote.
    """

    choice: Choice
    share: Share
    bar: float
    leads: bool


@dataclass(frozen=True, slots=True)
class Tally:
    """The total of votes, and the results of all choices in their order.

    `decimals` are those of all shares. `is_tied` is true if several choices have the most votes, `adds_up` is false if
    the shares as they are written don't add up to 100%.
    """

    votes: int
    results: tuple[ChoiceResult, ...]
    decimals: int
    is_tied: bool
    adds_up: bool


def tally(choices: Iterable[Choice]) -> Tally:
    """Return the results of `choices`. No choice leads before the first vote."""
    choices = tuple(choices)
    votes = [choice.votes for choice in choices]
    total, highest = sum(votes), max(votes, default=0)
    written = shares(votes)
    return Tally(
        votes=total,
        results=tuple(
            ChoiceResult(choice, share, _bar(choice.votes, total), leads=0 < choice.votes == highest)
            for choice, share in zip(choices, written, strict=True)
        ),
        decimals=written[0].decimals if written else 0,
        is_tied=highest > 0 and votes.count(highest) > 1,
        adds_up=total == 0 or add_up(written),
    )


def shares(votes: list[int]) -> list[Share]:
    """Return the shares of `votes`, rounded to whole percent, or to one decimal if that tells more of them apart.

    Equal counts have equal shares, therefore the shares may not add up to 100%.
    """
    total = sum(votes)
    whole, fine = ([_rounded(count, total, decimals) for count in votes] for decimals in (0, 1))
    return fine if len(set(fine)) > len(set(whole)) else whole


def add_up(written: list[Share]) -> bool:
    """Return whether shares as they are written can add up to 100%: "<1%" may be any share between 0 and 1%."""
    total = round(sum(share.percent for share in written), 1)
    below, above = (sum(10**-share.decimals for share in written if share.sign == sign) for sign in ("<", ">"))
    return total - below < 100 < total + above or (total == 100 and not below and not above)


def _rounded(count: int, total: int, decimals: int) -> Share:
    if total == 0:
        return Share(0, decimals)
    whole = 100 * 10**decimals  # all votes, in units of the last decimal
    rounded = (2 * whole * count + total) // (2 * total)  # half up
    if rounded == 0 < count:
        return Share(100 / whole, decimals, "<")
    if rounded == whole and count < total:
        return Share(100 * (whole - 1) / whole, decimals, ">")
    return Share(100 * rounded / whole, decimals)


def _bar(count: int, total: int) -> float:
    return max(round(100 * count / total, 3), _SHORTEST_BAR) if count else 0
