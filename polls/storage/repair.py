"""The repair of counts that differ from the ballots: `polls verify --repair`."""

import json
from collections.abc import Iterator, Sequence

import psycopg2

from polls.domain.permissions import COMMAND_LINE
from polls.storage.postgres.connect import Connection
from polls.storage.recount import Recount

# In the order of every change of a poll: see ballots.py. What is counted is read after the locks.
_LOCKS = (
    "SELECT FROM question WHERE id = %(poll)s FOR NO KEY UPDATE",
    "SELECT FROM choice WHERE question_id = %(poll)s ORDER BY id FOR NO KEY UPDATE",
)

_WRONG_COUNTS = """
    SELECT
        choice.id, choice.choice_text, choice.votes, choice.points, count(mark.choice_id), coalesce(sum(mark.points), 0)
    FROM choice
    LEFT JOIN (
        SELECT unnest(marks) AS choice_id, unnest(points) AS points FROM ballot WHERE question_id = %(poll)s
    ) AS mark ON mark.choice_id = choice.id
    WHERE choice.question_id = %(poll)s
    GROUP BY choice.id
    HAVING (choice.votes, choice.points) <> (count(mark.choice_id), coalesce(sum(mark.points), 0))
    ORDER BY choice.id
"""

_BALLOTS = """
    SELECT ballots, (SELECT count(*) FROM ballot WHERE question_id = %(poll)s) FROM question WHERE id = %(poll)s
"""

# The history has no counts of polls that hide them from their owners, who read it, too.
_HIDES_COUNTS = "SELECT FROM poll_settings WHERE question_id = %(poll)s AND (is_sealed OR results_from > 0)"

# Triggers raise the revision and announce the change.
_SET_COUNTS = "UPDATE choice SET votes = %(votes)s, points = %(points)s WHERE id = %(choice)s"
_SET_BALLOTS = "UPDATE question SET ballots = %(ballots)s WHERE id = %(poll)s AND ballots <> %(ballots)s"

_ADD_TO_HISTORY = """
    INSERT INTO history (actor, subject, name, deed, changes, edition)
    SELECT %(actor)s, 'poll:' || id, question_text, 'recounted', %(changes)s, edition
    FROM question
    WHERE id = %(poll)s
"""


def repair(connection: Connection, recounts: Sequence[Recount]) -> Iterator[int]:
    """Set the counts of those that are wrong from the ballots, and yield the ids of these polls.

    Each poll is counted again in a transaction of its own, in which it is locked: voting may continue meanwhile.
    """
    connection.set_session(isolation_level="READ COMMITTED", readonly=False)
    for result in recounts:
        if not result.is_exact:
            with connection, connection.cursor() as cursor:
                _repair_poll(cursor, result.question_id)
            yield result.question_id


def _repair_poll(cursor: psycopg2.extensions.cursor, question_id: int) -> None:
    poll = {"poll": question_id}
    for lock in _LOCKS:
        cursor.execute(lock, poll)
    cursor.execute(_BALLOTS, poll)
    ((stored, ballots),) = cursor.fetchall() or [(0, 0)]
    changes = [("ballots", str(stored), str(ballots))] if stored != ballots else []
    cursor.execute(_HIDES_COUNTS, poll)
    hides_counts = cursor.rowcount > 0
    cursor.execute(_WRONG_COUNTS, poll)
    wrong_counts = cursor.fetchall()
    for choice_id, text, old_votes, old_points, votes, points in wrong_counts:
        cursor.execute(_SET_COUNTS, {"choice": choice_id, "votes": votes, "points": points})
        for what, before, after in (("votes", old_votes, votes), ("points", old_points, points)):
            if before != after and not hides_counts:
                changes.append((what, f"{text}: {before}", f"{text}: {after}"))
    cursor.execute(_SET_BALLOTS, poll | {"ballots": ballots})
    if changes or wrong_counts:
        cursor.execute(_ADD_TO_HISTORY, poll | {"actor": COMMAND_LINE.name, "changes": json.dumps(changes)})
