"""The distribution of scores: how many voters gave each score to each choice of a poll."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from polls.domain.poll import Choice, Poll
from polls.domain.tally import Figure, bar_of, tally_averages


@dataclass(frozen=True, slots=True)
class ScoreCounts:
    """The scores on a poll's ballots, as they were at `as_of`: `voters` is {(choice id, score): how many gave it}.

    `ballots` is the number of ballots; `revision` and `edition` are those of the poll that counts them.
    """

    revision: int
    edition: int
    ballots: int
    as_of: datetime
    voters: Mapping[tuple[int, int], int]


@dataclass(frozen=True, slots=True)
class ScoreResult:
    """The number of voters who gave a choice a score; `bar` is their share of its ratings in percent, for a bar."""

    score: int
    voters: int
    bar: float


@dataclass(frozen=True, slots=True)
class ChoiceDistribution:
    """The scores of one choice, the highest first. `choice` has their number as votes, and their sum as points.

    `average` is None if there are no scores.
    """

    choice: Choice
    average: Figure | None
    scores: tuple[ScoreResult, ...]


@dataclass(frozen=True, slots=True)
class Distribution:
    """The distribution of the scores of all choices in their order, on `voters` ballots at `as_of`.

    `is_current` is true if its numbers and sums are those of the poll's results: they are counted from other votes
    otherwise, most likely from earlier ones.
    """

    choices: tuple[ChoiceDistribution, ...]
    voters: int
    as_of: datetime
    is_current: bool


def distribution_of(poll: Poll, counts: ScoreCounts) -> Distribution:
    """Return the distribution of the scores in `counts` over the choices of `poll`."""
    highest = poll.settings.most_points or 1
    scores = {
        choice.id: [(score, counts.voters.get((choice.id, score), 0)) for score in range(highest, -1, -1)]
        for choice in poll.choices
    }
    counted = [
        Choice(
            choice.id, choice.text, sum(voters for _, voters in given), sum(score * voters for score, voters in given)
        )
        for choice, given in zip(poll.choices, scores.values(), strict=True)
    ]
    averages = tally_averages(counted, counts.ballots, highest).results
    return Distribution(
        choices=tuple(
            ChoiceDistribution(
                result.choice,
                result.figure,
                tuple(ScoreResult(score, voters, bar_of(voters, result.choice.votes)) for score, voters in given),
            )
            for result, given in zip(averages, scores.values(), strict=True)
        ),
        voters=counts.ballots,
        as_of=counts.as_of,
        is_current=(tuple(counted), counts.ballots) == (poll.choices, poll.ballots),
    )
