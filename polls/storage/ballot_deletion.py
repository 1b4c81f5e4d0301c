"""Deletion of a poll's ballots, in statements of bounded size."""

from collections.abc import Sequence

import aiopg.sa

BATCH_SIZE = 5_000  # ballots that a statement reads; none may take longer than 2 seconds (STATEMENT_TIMEOUT)

# Deletes those of the next ballots, in the order of voters, that mark nothing but %(marks)s. A range of the key instead
# of a join: the planner's statistics of the table's size may be long out of date.
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
    """Delete a poll's ballots: all of them, or those that mark nothing but `marks`. Returns how many."""
    count, after = 0, b""
    while True:
        result = await connection.execute(_DELETE, {"id": question_id, "marks": marks, "after": after})
        batch = await result.first()
        if batch.last is None:
            return count
        count, after = count + batch.count, bytes(batch.last)
