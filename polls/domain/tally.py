"""Results of a poll: totals, figures of the choices, and the leading ones. Methods count with these functions."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from polls.domain.poll import Choice

_SHORTEST_BAR = 0.9  # percent: three pixels on a phone


@dataclass(frozen=True, slots=True)
class Figure:
    """A share in percent or an average as it is written, rounded to `decimals` places.

    `sign` is "<" or ">" where the rounded share would be none or all of the votes, and the exact one isn't: <1%, >99%.
    """

    value: float
    decimals: int
    sign: Literal["", "<", ">"] = ""


@dataclass(frozen=True, slots=True)
class ChoiceResult:
    """The result of one choice: `bar` is the length of its bar in percent, `leads` is true for all with the most votes.

    `figure` is None if there is none, as the average of a choice without ratings. The bar is as long as the exact
    figure, but always visible if there is a vote.
    """

    choice: Choice
    figure: Figure | None
    bar: float
    leads: bool


@dataclass(frozen=True, slots=True)
class Tally:
    """The totals of a poll, and the results of all choices in their order.

    `voters` is the number of ballots, `votes` that of their marks, `points` that of their points. `decimals` are those
    of all figures. `is_tied` is true if several choices lead, `adds_up` is false if shares of a whole don't add up to
    100% as they are written.
    """

    voters: int
    votes: int
    points: int
    results: tuple[ChoiceResult, ...]
    decimals: int
    is_tied: bool
    adds_up: bool


def tally_shares(choices: Sequence[Choice], voters: int, counts: Sequence[int], whole: int | None = None) -> Tally:
    """Return the results of `choices` by their shares of `whole`, by default of the sum of `counts`.

    `counts` are what is counted for each choice. None leads before the first vote.
    """
    total = sum(counts) if whole is None else whole
    figures = shares(counts, total)
    bars = [Fraction(count, total) if total else Fraction(0) for count in counts]
    adds_up = whole is not None or total == 0 or add_up(figures)
    return _tally(choices, voters, figures, bars, adds_up=adds_up)


def tally_averages(choices: Sequence[Choice], voters: int, highest: int) -> Tally:
    """Return the results of `choices` by the average points of their votes, each of which has 0 to `highest` points."""
    averages = [Fraction(choice.points, choice.votes) if choice.votes else None for choice in choices]
    bars = [(average or Fraction(0)) / highest for average in averages]
    return _tally(choices, voters, _written_averages(averages), bars, adds_up=True)


def shares(counts: Sequence[int], total: int) -> list[Figure]:
    """Return the shares of `total`, rounded to whole percent, or to one decimal if more of them differ then.

    Equal counts have equal shares, therefore the shares may not add up to 100%.
    """
    whole, fine = ([_share(count, total, decimals) for count in counts] for decimals in (0, 1))
    return fine if len(set(fine)) > len(set(whole)) else whole


def bar_of(count: int, total: int) -> float:
    """Return the length of a bar, in percent, for a share of `total`."""
    return _bar(Fraction(count, total)) if total else 0


def add_up(written: Sequence[Figure]) -> bool:
    """Return whether shares as they are written can add up to 100%: "<1%" may be any share between 0 and 1%."""
    total = round(sum(share.value for share in written), 1)
    below, above = (sum(10**-share.decimals for share in written if share.sign == sign) for sign in ("<", ">"))
    return total - below < 100 < total + above or (total == 100 and not below and not above)


def _tally(
    choices: Sequence[Choice],
    voters: int,
    figures: Sequence[Figure | None],
    parts: Sequence[Fraction],
    *,
    adds_up: bool,
) -> Tally:
    """Return the tally of `choices` with their `figures`; `parts` are the exact ones, as parts of the longest bar."""
    best = max((part for part, choice in zip(parts, choices, strict=True) if choice.votes), default=Fraction(0))
    leads = [choice.votes > 0 and part == best > 0 for choice, part in zip(choices, parts, strict=True)]
    return Tally(
        voters=voters,
        votes=sum(choice.votes for choice in choices),
        points=sum(choice.points for choice in choices),
        results=tuple(
            ChoiceResult(choice, figure, _bar(part), leading)
            for choice, figure, part, leading in zip(choices, figures, parts, leads, strict=True)
        ),
        decimals=max((figure.decimals for figure in figures if figure), default=0),
        is_tied=sum(leads) > 1,
        adds_up=adds_up,
    )


def _written_averages(averages: Sequence[Fraction | None]) -> list[Figure | None]:
    """Return averages rounded to one decimal, or to two if more of them differ then."""
    coarse, fine = (
        [average if average is None else Figure(_round(average, decimals), decimals) for average in averages]
        for decimals in (1, 2)
    )
    return fine if len(set(fine)) > len(set(coarse)) else coarse


def _round(exact: Fraction, decimals: int) -> float:
    unit: int = 10**decimals
    return int(exact * unit + Fraction(1, 2)) / unit  # half up


def _share(count: int, total: int, decimals: int) -> Figure:
    if total == 0:
        return Figure(0, decimals)
    whole = 100 * 10**decimals  # all votes, in units of the last decimal
    rounded = (2 * whole * count + total) // (2 * total)  # half up
    if rounded == 0 < count:
        return Figure(100 / whole, decimals, "<")
    if rounded == whole and count < total:
        return Figure(100 * (whole - 1) / whole, decimals, ">")
    return Figure(100 * rounded / whole, decimals)


def _bar(part: Fraction) -> float:
    return max(round(float(100 * part), 3), _SHORTEST_BAR) if part else 0
