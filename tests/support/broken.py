"""polls with a fault built in, to see that the tests of this folder can fail: `python broken.py FAULT serve ...`."""

import sys
from collections.abc import Sequence

from polls.__main__ import main
from polls.domain.ballot import Ballot
from polls.storage import ballots
from polls.storage.ballots import Recorder


def replaced(text: str, old: str, new: str) -> str:
    assert old in text, f"the statement has changed; this fault no longer fits it: {old}"
    return text.replace(old, new)


def lock_in_the_same_statement() -> None:
    """One statement that locks, reads, writes and counts: it reads what was there before it waited."""
    ballots._RECORD = replaced(ballots._RECORD, "EXECUTE lock_questions (%(questions)s);", "")
    ballots._PREPARE = replaced(
        ballots._PREPARE,
        "WITH moment AS MATERIALIZED (",
        """WITH held AS MATERIALIZED (
            SELECT id FROM question WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE
        ),
        moment AS MATERIALIZED (""",
    )
    ballots._PREPARE = replaced(
        ballots._PREPARE, "clock_timestamp() AS here", "clock_timestamp() AS here FROM (SELECT count(*) FROM held) AS h"
    )


def let_every_ballot_in() -> None:
    """No key that holds a voter to one ballot, and nobody who looks for an earlier one."""
    ballots._PREPARE = replaced(
        ballots._PREPARE,
        "ON CONFLICT (question_id, voter) DO UPDATE SET marks = excluded.marks, changed_at = excluded.changed_at",
        "",
    )
    ballots._PREPARE = replaced(
        ballots._PREPARE,
        "JOIN ballot ON ballot.question_id = incoming.question_id AND ballot.voter = incoming.voter",
        "JOIN ballot ON false",
    )


def look_first() -> None:
    """A ballot that is there already is not written again: whoever sends it is told so."""
    send = Recorder._send

    async def look(self: Recorder, sent: Sequence[Ballot], places: Sequence[int], until: float) -> dict[int, int | str]:
        voters = [self._rules[sent[place].question_id].stored_voter(sent[place]) for place in places]
        found = await self._execute(
            """
            SELECT DISTINCT question.id, question.revision
            FROM question
            JOIN ballot ON ballot.question_id = question.id
            WHERE encode(ballot.voter, 'hex') = ANY (%(voters)s)
            """,
            {"voters": voters},
        )
        return {row.id: row.revision for row in found} or await send(self, sent, places, until)

    Recorder._send = look  # type: ignore[method-assign]


if __name__ == "__main__":
    faults = {"one-statement": lock_in_the_same_statement, "no-key": let_every_ballot_in, "look": look_first}
    faults[sys.argv.pop(1)]()
    sys.exit(main())
