"""The recount: whether the numbers that pages show are the numbers of ballots."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from psycopg2.extensions import ISOLATION_LEVEL_REPEATABLE_READ

from polls.storage.postgres.connect import Connection

_BALLOTS = """
    SELECT question.id, question.ballots, count(ballot.voter)
    FROM question
    LEFT JOIN ballot ON ballot.question_id = question.id
    WHERE question.id = %(poll)s OR %(poll)s IS NULL
    GROUP BY question.id
    ORDER BY question.id
"""

_VOTES = """
    SELECT choice.question_id, choice.id, choice.votes, count(marked.choice_id)
    FROM choice
    LEFT JOIN (SELECT question_id, unnest(marks) AS choice_id FROM ballot) AS marked
        ON marked.question_id = choice.question_id AND marked.choice_id = choice.id
    WHERE choice.question_id = %(poll)s OR %(poll)s IS NULL
    GROUP BY choice.id
    ORDER BY choice.id
"""

_ASTRAY = """
    SELECT ballot.question_id, count(*)
    FROM ballot
    WHERE (ballot.question_id = %(poll)s OR %(poll)s IS NULL) AND EXISTS (
        SELECT
        FROM unnest(ballot.marks) AS marked (choice_id)
        LEFT JOIN choice ON choice.id = marked.choice_id AND choice.question_id = ballot.question_id
        WHERE choice.id IS NULL
    )
    GROUP BY ballot.question_id
"""


@dataclass(frozen=True, slots=True)
class Count:
    """A number as it is kept, beside the ballots that were found."""

    kept: int
    found: int

    @property
    def is_exact(self) -> bool:
        """Whether they are the same."""
        return self.kept == self.found


@dataclass(frozen=True, slots=True)
class Recount:
    """One poll, recounted: its ballots, and the votes of each choice by its id. In words, it is a line.

    `astray` ballots mark what was removed since: they stay ballots of the poll.
    """

    question_id: int
    ballots: Count
    votes: Mapping[int, Count]
    astray: int = 0

    @property
    def is_exact(self) -> bool:
        """Whether every number is."""
        return self.ballots.is_exact and all(count.is_exact for count in self.votes.values())

    def __str__(self) -> str:
        line = f"poll {self.question_id}: {counted(self.ballots.found, 'ballot')}"
        if self.astray:
            line += f" ({self.astray:,} for a choice that is no longer offered)"
        if self.is_exact:
            return f"{line}, counted exactly"
        differences = [] if self.ballots.is_exact else [f"question.ballots says {self.ballots.kept}"]
        differences += [
            f"choice {choice_id} is marked by {counted(count.found, 'ballot')}, and choice.votes says {count.kept}"
            for choice_id, count in self.votes.items()
            if not count.is_exact
        ]
        return f"{line}, COUNTED WRONGLY: {'; '.join(differences)}"


def recount(connection: Connection, question_id: int | None = None) -> Iterator[Recount]:
    """Recount all polls, or one, from their ballots, in one snapshot of the database: voting may go on meanwhile."""
    connection.set_session(isolation_level=ISOLATION_LEVEL_REPEATABLE_READ, readonly=True)
    with connection, connection.cursor() as cursor:
        cursor.execute(_BALLOTS, {"poll": question_id})
        ballots = {id_: Count(kept, found) for id_, kept, found in cursor.fetchall()}
        votes: dict[int, dict[int, Count]] = {id_: {} for id_ in ballots}
        cursor.execute(_VOTES, {"poll": question_id})
        for of_question, choice_id, kept, found in cursor.fetchall():
            votes[of_question][choice_id] = Count(kept, found)
        cursor.execute(_ASTRAY, {"poll": question_id})
        astray = dict(cursor.fetchall())
    for id_, count in ballots.items():
        yield Recount(id_, count, votes[id_], astray.get(id_, 0))


def counted(number: int, noun: str) -> str:
    """So many of something, in words: `1 ballot`, `1,284 ballots`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
