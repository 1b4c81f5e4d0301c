"""The settings of a poll: its description, how ballots are marked, their limits, and who may see the results."""

from dataclasses import dataclass
from enum import StrEnum

MAX_DESCRIPTION_LENGTH = 2000  # characters
MAX_LABEL_LENGTH = 40  # characters of the label of a score
MAX_SCORE = 10
MAX_BUDGET = 100  # points that a voter may spread
MAX_RESULTS_FROM = 1_000_000  # ballots


class Results(StrEnum):
    """The rule by which viewers other than the owner see the results of a poll."""

    ALWAYS = "always"
    AFTER_VOTE = "after_vote"
    AFTER_CLOSE = "after_close"
    OWNER = "owner"  # never


@dataclass(frozen=True, slots=True)
class PollSettings:
    """The settings of a poll; without arguments they are the defaults, which are stored as no row.

    `method` is a name in `polls.domain.methods.METHODS`. A ballot has `fewest_marks` to `most_marks` marks (None: as
    many as there are choices), each with at most `most_points` points (None: no points), at most `budget` together.
    `lowest_label` and `highest_label` are the labels of the scores 0 and `most_points`. The plain text `description`
    may have several lines.

    `results` says when the results can be seen, from `results_from` ballots on. Those of a poll that `is_sealed` can't
    be seen before its end, not even by its owner. See `domain.visibility`.
    """

    description: str = ""
    method: str = "single"
    fewest_marks: int = 1
    most_marks: int | None = 1
    most_points: int | None = None
    budget: int | None = None
    lowest_label: str = ""
    highest_label: str = ""
    results: Results = Results.ALWAYS
    results_from: int = 0
    is_sealed: bool = False

    @property
    def rules(self) -> tuple[object, ...]:
        """Return the settings that can't change while the poll has ballots."""
        return self.method, self.fewest_marks, self.most_marks, self.most_points, self.budget

    @property
    def results_visibility(self) -> tuple[object, ...]:
        """Return the settings that decide who may see the results: if sealed, they can't change with ballots."""
        return self.is_sealed, self.results, self.results_from

    @property
    def hides_results(self) -> bool:
        """Return whether there are viewers, or times, for which the results are hidden."""
        return self.results is not Results.ALWAYS or self.results_from > 0


DEFAULT_SETTINGS = PollSettings()


@dataclass(frozen=True, slots=True)
class Limit:
    """A setting that is a number from `lowest` to `highest`.

    It may be None if it `is_optional`. `at_least` and `at_most` name other settings, whose values it must not be below
    or above; with `at_most` it may be left out, and is then as high as that.
    """

    lowest: int
    highest: int
    is_optional: bool = False
    at_least: str = ""
    at_most: str = ""
