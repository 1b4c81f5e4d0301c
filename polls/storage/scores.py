"""Reading of scores: how many ballots of a poll give each score to each choice."""

from polls.domain.distribution import ScoreCounts
from polls.storage.postgres.pool import Database, acquired

# One statement, so that the revision is the one that counts these ballots.
_COUNT = """
    SELECT
        question.revision, question.edition, question.ballots, now() AS as_of,
        given.choice_id, given.score, given.voters
    FROM question
    LEFT JOIN LATERAL (
        SELECT mark.choice_id, mark.score, count(*) AS voters
        FROM ballot
        CROSS JOIN unnest(ballot.marks, ballot.points) AS mark (choice_id, score)
        WHERE ballot.question_id = question.id
        GROUP BY mark.choice_id, mark.score
    ) AS given ON true
    WHERE question.id = %(question_id)s
"""


async def count(database: Database, question_id: int) -> ScoreCounts | None:
    """Count the scores on all ballots of a poll, or return None if it doesn't exist. Raises PollsUnavailable."""
    async with acquired(database) as connection:
        rows = await (await connection.execute(_COUNT, question_id=question_id)).fetchall()
    if not rows:
        return None
    voters = {(row.choice_id, row.score): row.voters for row in rows if row.choice_id is not None}
    first = rows[0]
    return ScoreCounts(first.revision, first.edition, first.ballots, first.as_of, voters)
