"""The recount: compares the stored counts of ballots and votes with the ballots themselves."""

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
    SELECT choice.question_id, choice.id, choice.votes, count(mark.choice_id)
    FROM choice
    LEFT JOIN (SELECT question_id, unnest(marks) AS choice_id FROM ballot) AS mark
        ON mark.question_id = choice.question_id AND mark.choice_id = choice.id
    WHERE choice.question_id = %(poll)s OR %(poll)s IS NULL
    GROUP BY choice.id
    ORDER BY choice.id
"""

_ORPHANED = """
    SELECT ballot.question_id, count(*)
    FROM ballot
    WHERE (ballot.question_id = %(poll)s OR %(poll)s IS NULL) AND EXISTS (
        SELECT
        FROM unnest(ballot.marks) AS mark (choice_id)
        LEFT JOIN choice ON choice.id = mark.choice_id AND choice.question_id = ballot.question_id
        WHERE choice.id IS NULL
    )
    GROUP BY ballot.question_id
"""


@dataclass(frozen=True, slots=True)
class Count:
    """A stored count, and the number of ballots that were found in the table `ballot`."""

    stored: int
    found: int

    @property
    def is_exact(self) -> bool:
        """Return whether both numbers are equal."""
        return self.stored == self.found


@dataclass(frozen=True, slots=True)
class Recount:
    """The counts of one poll: its ballots, and {choice id: votes}. `str` gives a one-line report.

    `orphaned` is the number of ballots that mark a choice which was removed since; they are still ballots of the poll.
    """

    question_id: int
    ballots: Count
    votes: Mapping[int, Count]
    orphaned: int = 0

    @property
    def is_exact(self) -> bool:
        """Return whether all counts are exact."""
        return self.ballots.is_exact and all(count.is_exact for count in self.votes.values())

    def __str__(self) -> str:
        line = f"poll {self.question_id}: {count_of(self.ballots.found, 'ballot')}"
        if self.orphaned:
            line += f" ({self.orphaned:,} for a choice that is no longer offered)"
        if self.is_exact:
            return f"{line}, counted exactly"
        differences = [] if self.ballots.is_exact else [f"question.ballots says {self.ballots.stored}"]
        differences += [
            f"choice {choice_id} is marked by {count_of(count.found, 'ballot')}, and choice.votes says {count.stored}"
            for choice_id, count in self.votes.items()
            if not count.is_exact
        ]
        return f"{line}, COUNTED WRONGLY: {'; '.join(differences)}"


def recount(connection: Connection, question_id: int | None = None) -> Iterator[Recount]:
    """Recount all polls, or one. Reads a single snapshot of the database, so voting may go on meanwhile."""
    connection.set_session(isolation_level=ISOLATION_LEVEL_REPEATABLE_READ, readonly=True)
    with connection, connection.cursor() as cursor:
        cursor.execute(_BALLOTS, {"poll": question_id})
        ballots = {id_: Count(stored, found) for id_, stored, found in cursor.fetchall()}
        votes: dict[int, dict[int, Count]] = {id_: {} for id_ in ballots}
        cursor.execute(_VOTES, {"poll": question_id})
        for id_, choice_id, stored, found in cursor.fetchall():
            votes[id_][choice_id] = Count(stored, found)
        cursor.execute(_ORPHANED, {"poll": question_id})
        orphaned = dict(cursor.fetchall())
    for id_, count in ballots.items():
        yield Recount(id_, count, votes[id_], orphaned.get(id_, 0))


def count_of(number: int, noun: str) -> str:
    """Return a number with its noun: `1 ballot`, `1,284 ballots`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
