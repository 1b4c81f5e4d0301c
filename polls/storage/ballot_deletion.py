"""Deletion of a poll's ballots, in statements of bounded size."""

from collections.abc import Sequence

import aiopg.sa

BATCH_SIZE = 5_000  # ballots that a statement reads; none may take longer than 2 seconds (STATEMENT_TIMEOUT)

# Reads the next batch of ballots, in the order of `voter`, and deletes those in it that mark nothing but %(marks)s. It
# deletes a range of the key instead of joining: the planner's statistics may be long out of date.
_DELETE = f"""
    WITH batch AS MATERIALIZED (
        SELECT voter
        FROM ballot
        WHERE question_id = %(id)s AND voter > %(after)s
        ORDER BY voter
        LIMIT {BATCH_SIZE}
    ),
    last AS MATERIALIZED (
        SELECT voter
        FROM batch
        ORDER BY voter DESC
        LIMIT 1
    ),
    deleted AS (
        DELETE FROM ballot
        WHERE question_id = %(id)s AND voter > %(after)s AND voter <= (SELECT voter FROM last)
            AND (%(marks)s::integer[] IS NULL OR marks <@ %(marks)s)
        RETURNING voter
    )
    SELECT (SELECT voter FROM last) AS last, (SELECT count(*) FROM deleted) AS count
"""  # noqa: S608 - a constant of this module


async def delete_ballots(
    connection: aiopg.sa.SAConnection, question_id: int, marks: Sequence[int] | None = None
) -> int:
    """Delete a poll's ballots: all of them, or those that mark nothing but `marks`. Return how many."""
    count, after = 0, b""
    while True:
        result = await connection.execute(_DELETE, {"id": question_id, "marks": marks, "after": after})
        batch = await result.first()
        if batch.last is None:
            return count
        count, after = count + batch.count, bytes(batch.last)
