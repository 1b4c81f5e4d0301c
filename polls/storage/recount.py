"""The recount: compares the stored counts of ballots and votes with the ballots themselves."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psycopg2
from psycopg2.extensions import ISOLATION_LEVEL_REPEATABLE_READ

from polls.storage.postgres.connect import Connection

# With the numbers of ballots that mark a choice which was removed since, and of those that break the poll's rules:
# what `domain.methods` refuses, in SQL.
_BALLOTS = """
    SELECT
        question.id,
        question.ballots,
        count(ballot.voter),
        count(ballot.voter) FILTER (WHERE NOT ballot.marks <@ offered.choices),
        count(ballot.voter) FILTER (WHERE (
            cardinality(ballot.marks) >= coalesce(settings.fewest_marks, 1)
            AND (
                cardinality(ballot.marks) = 1
                OR cardinality(ballot.marks) = (SELECT count(DISTINCT mark) FROM unnest(ballot.marks) AS mark)
                AND (settings.most_marks IS NULL OR cardinality(ballot.marks) <= settings.most_marks)
                AND settings.question_id IS NOT NULL
            )
            AND CASE
                WHEN settings.most_points IS NULL THEN ballot.points IS NULL
                ELSE (
                    SELECT
                        count(*) = cardinality(ballot.marks)
                        AND min(point) >= CASE WHEN settings.budget IS NULL THEN 0 ELSE 1 END
                        AND max(point) <= settings.most_points
                        AND (settings.budget IS NULL OR sum(point) <= settings.budget)
                    FROM unnest(ballot.points) AS point
                )
            END
        ) IS NOT TRUE)
    FROM question
    LEFT JOIN poll_settings AS settings ON settings.question_id = question.id
    CROSS JOIN LATERAL (
        SELECT coalesce(array_agg(id), '{}') AS choices FROM choice WHERE question_id = question.id
    ) AS offered
    LEFT JOIN ballot ON ballot.question_id = question.id
    WHERE question.id = %(poll)s OR %(poll)s IS NULL
    GROUP BY question.id
    ORDER BY question.id
"""

_WRONG_COUNTS = """
    SELECT
        choice.question_id, choice.id, choice.votes, choice.points, count(mark.choice_id), coalesce(sum(mark.points), 0)
    FROM choice
    LEFT JOIN (SELECT question_id, unnest(marks) AS choice_id, unnest(points) AS points FROM ballot) AS mark
        ON mark.question_id = choice.question_id AND mark.choice_id = choice.id
    WHERE choice.question_id = %(poll)s OR %(poll)s IS NULL
    GROUP BY choice.id
    HAVING (choice.votes, choice.points) <> (count(mark.choice_id), coalesce(sum(mark.points), 0))
    ORDER BY choice.id
"""


@dataclass(frozen=True, slots=True)
class Recount:
    """The number of ballots of one poll, and what differs from it in the stored counts. `str` gives a one-line report.

    `orphaned` is the number of ballots that mark a choice which was removed since; they are still ballots of the poll.
    `invalid` is the number of those that break the poll's rules, which polls itself never stores.
    """

    question_id: int
    ballots: int
    orphaned: int
    invalid: int
    differences: Sequence[str]

    @property
    def is_exact(self) -> bool:
        """Return whether all stored counts are exact."""
        return not self.differences

    def __str__(self) -> str:
        line = f"poll {self.question_id}: {count_of(self.ballots, 'ballot')}"
        if self.orphaned:
            line += f" ({self.orphaned:,} for a choice that is no longer offered)"
        if self.invalid:
            line += f" ({self.invalid:,} AGAINST ITS RULES)"
        return (
            f"{line}, COUNTED WRONGLY: {'; '.join(self.differences)}"
            if self.differences
            else f"{line}, counted exactly"
        )


def recount(connection: Connection, question_id: int | None = None) -> Iterator[Recount]:
    """Recount all polls, or one. Reads a single snapshot of the database, so voting may continue meanwhile."""
    connection.set_session(isolation_level=ISOLATION_LEVEL_REPEATABLE_READ, readonly=True)
    with connection, connection.cursor() as cursor:
        cursor.execute(_BALLOTS, {"poll": question_id})
        polls = cursor.fetchall()
        cursor.execute(_WRONG_COUNTS, {"poll": question_id})
        wrong_counts = cursor.fetchall()
    differences = defaultdict(list)
    for id_, stored, found, *_ in polls:
        if stored != found:
            differences[id_].append(f"question.ballots says {stored}")
    for id_, choice_id, votes, points, found_votes, found_points in wrong_counts:
        if votes != found_votes:
            differences[id_].append(
                f"choice {choice_id} is marked by {count_of(found_votes, 'ballot')}, and choice.votes says {votes}"
            )
        if points != found_points:
            differences[id_].append(
                f"choice {choice_id} has {count_of(found_points, 'point')}, and choice.points says {points}"
            )
    for id_, _, found, orphaned, invalid in polls:
        yield Recount(id_, found, orphaned, invalid, differences[id_])


def recount_if_possible(connection: Connection) -> Sequence[Recount] | None:
    """Recount all polls; return None if the schema of an older version lacks what is counted."""
    try:
        return list(recount(connection))
    except psycopg2.ProgrammingError:
        return None


def count_of(number: int, noun: str) -> str:
    """Return a number with its noun: `1 ballot`, `1,284 ballots`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
