"""polls with a fault built in, to see that the tests of this folder can fail: `python broken.py FAULT serve ...`."""

import sys

from polls.__main__ import main
from polls.storage import ballots

LOCK = "    EXECUTE lock_questions (%(questions)s);\n"


def lock_in_the_same_statement() -> None:
    """One statement that locks, reads, writes and counts: it reads what was there before it waited."""
    ballots._RECORD = ballots._RECORD.replace(LOCK, "")
    ballots._PREPARE = ballots._PREPARE.replace(
        "    WITH moment AS MATERIALIZED (",
        """
    WITH held AS MATERIALIZED (
        SELECT id FROM question WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE
    ),
    moment AS MATERIALIZED (""",
    ).replace(
        "SELECT clock_timestamp() AS here",
        "SELECT clock_timestamp() AS here FROM (SELECT count(*) FROM held) AS all_held",
    )


def let_every_ballot_in() -> None:
    """No key that holds a voter to one ballot."""
    ballots._PREPARE = (
        ballots._PREPARE.replace(
            "ON CONFLICT (question_id, voter) DO UPDATE SET marks = excluded.marks, changed_at = excluded.changed_at",
            "",
        )
        .replace("SELECT ballot.question_id, ballot.marks\n", "SELECT ballot.question_id, ballot.marks\n")
        .replace(
            "JOIN ballot ON ballot.question_id = incoming.question_id AND ballot.voter = incoming.voter",
            "JOIN ballot ON false",
        )
    )


if __name__ == "__main__":
    before = ballots._PREPARE
    {"one-statement": lock_in_the_same_statement, "no-key": let_every_ballot_in}[sys.argv.pop(1)]()
    assert before != ballots._PREPARE, "the statement has changed; this fault no longer fits it"
    sys.exit(main())
