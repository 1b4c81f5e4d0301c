"""polls with a fault built in, to check that tests can fail: `python broken.py FAULT serve ...`."""

import sys
from collections.abc import Mapping

from polls.cli import main
from polls.domain.ballot import Ballot
from polls.storage import ballot_sql
from polls.storage.ballot_connection import BallotConnection, PollRules


def replaced(text: str, old: str, new: str) -> str:
    assert old in text, f"the statement has changed; this fault no longer fits it: {old}"
    return text.replace(old, new)


def lock_in_the_same_statement() -> None:
    """Lock, read, write and count in one statement, which reads the rows as they were before it waited for the lock."""
    ballot_sql.RECORD = replaced(ballot_sql.RECORD, "EXECUTE lock_questions (%(questions)s);", "")
    ballot_sql.PREPARE = replaced(
        ballot_sql.PREPARE,
        "WITH moment AS MATERIALIZED (",
        """WITH held AS MATERIALIZED (
            SELECT id FROM question WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE
        ),
        moment AS MATERIALIZED (""",
    )
    ballot_sql.PREPARE = replaced(
        ballot_sql.PREPARE, "clock_timestamp() AS now", "clock_timestamp() AS now FROM (SELECT count(*) FROM held) AS h"
    )


def accept_every_ballot() -> None:
    """Store each ballot of a voter, instead of replacing the earlier one."""
    ballot_sql.PREPARE = replaced(
        ballot_sql.PREPARE,
        """ON CONFLICT (question_id, voter) DO UPDATE
        SET marks = excluded.marks, points = excluded.points, changed_at = excluded.changed_at""",
        "",
    )
    ballot_sql.PREPARE = replaced(
        ballot_sql.PREPARE,
        "JOIN ballot ON ballot.question_id = incoming.question_id AND ballot.voter = incoming.voter",
        "JOIN ballot ON false",
    )


def skip_stored_ballots() -> None:
    """Acknowledge a ballot that is stored already without writing it again."""
    record = BallotConnection.record

    async def look_first(
        self: BallotConnection,
        rules: Mapping[int, PollRules],
        ballots: Mapping[tuple[int, str], Ballot],
        deadline: float,
    ) -> dict[int, int | str]:
        rows = await self.execute(
            """
            SELECT DISTINCT question.id, question.revision
            FROM question
            JOIN ballot ON ballot.question_id = question.id
            WHERE encode(ballot.voter, 'hex') = ANY (%(voters)s)
            """,
            {"voters": [voter for _, voter in ballots]},
        )
        return {row.id: row.revision for row in rows} or await record(self, rules, ballots, deadline)

    BallotConnection.record = look_first  # type: ignore[method-assign]


if __name__ == "__main__":
    faults = {"one-statement": lock_in_the_same_statement, "no-key": accept_every_ballot, "look": skip_stored_ballots}
    faults[sys.argv.pop(1)]()
    sys.exit(main())
