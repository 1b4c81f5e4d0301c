"""SQL that stores and counts a batch of ballots in one transaction."""

import sqlalchemy as sa

from polls.storage.postgres.statements import compiled
from polls.storage.questions import POLL, POLL_TABLES
from polls.storage.tables import choice, question

# Locking and recording are two statements, never one: a statement's snapshot is taken when it begins, so one that
# waited for the lock itself would read the ballots as they were before the wait, and count wrongly. Sent together they
# are one transaction and one round trip. Both are prepared: planning them costs more than running them.
PREPARE = """
    SET plan_cache_mode = force_generic_plan;
    SET polls.recorder = 'on'; -- turns off the trigger choice_recounted: the statement below raises the revision itself

    PREPARE lock_questions (integer[]) AS
    SELECT id
    FROM question
    WHERE id = ANY ($1)
    ORDER BY id
    FOR NO KEY UPDATE;

    -- $1, $2, $3: per poll: id, and the edition and the salt (hex) that its ballots were checked and hashed with.
    -- $4, $5, $6, $7: per ballot: poll id, voter (hex), and marks and points as texts of arrays; null: no points.
    -- $8: the deadline in seconds since 1970, by the database's clock; nothing is stored after it.
    -- Returns per poll: a refusal or the revision that counts its ballots, and the database's time.
    PREPARE record_ballots (
        integer[], bigint[], text[], integer[], text[], text[], text[], double precision
    ) AS
    WITH moment AS MATERIALIZED (
        -- Not now(), the start of the transaction: the poll may have been closed while this waited for the lock.
        SELECT clock_timestamp() AS now
    ),
    poll AS MATERIALIZED (
        SELECT
            expected.id,
            CASE
                -- The voters have been answered already, and may have changed their ballots in another process.
                WHEN moment.now > to_timestamp($8) THEN 'late'
                WHEN question.id IS NULL OR question.pub_date > moment.now THEN 'absent'
                -- Another salt means that the id now belongs to another poll, or that the voters were anonymized.
                WHEN question.edition <> expected.edition OR question.voter_salt <> decode(expected.salt, 'hex')
                THEN 'edited'
                WHEN question.closes_at <= moment.now THEN 'closed'
            END AS refusal
        FROM moment
        CROSS JOIN unnest($1, $2, $3) AS expected (id, edition, salt)
        LEFT JOIN question ON question.id = expected.id
    ),
    incoming AS MATERIALIZED (
        SELECT
            sent.question_id,
            decode(sent.voter, 'hex') AS voter,
            sent.marks::integer[] AS marks,
            sent.points::smallint[] AS points
        FROM unnest($4, $5, $6, $7) AS sent (question_id, voter, marks, points)
        JOIN poll ON poll.id = sent.question_id
        WHERE poll.refusal IS NULL
    ),
    replaced AS MATERIALIZED (
        SELECT ballot.question_id, ballot.marks, ballot.points
        FROM incoming
        JOIN ballot ON ballot.question_id = incoming.question_id AND ballot.voter = incoming.voter
    ),
    stored AS (
        -- An unchanged ballot is written too: its voter is acknowledged because of this commit, and it isn't known
        -- whether the earlier one has reached the standby.
        INSERT INTO ballot (question_id, voter, marks, points, cast_at, changed_at)
        SELECT incoming.question_id, incoming.voter, incoming.marks, incoming.points, moment.now, moment.now
        FROM incoming
        CROSS JOIN moment
        ON CONFLICT (question_id, voter) DO UPDATE
        SET marks = excluded.marks, points = excluded.points, changed_at = excluded.changed_at
    ),
    vote_change AS (
        SELECT mark.choice_id, sum(mark.change) AS votes, coalesce(sum(mark.change * mark.points), 0) AS points
        FROM (
            SELECT unnest(marks) AS choice_id, unnest(points) AS points, 1 AS change FROM incoming
            UNION ALL
            SELECT unnest(marks), unnest(points), -1 FROM replaced
        ) AS mark
        GROUP BY mark.choice_id
    ),
    locked_choice AS (
        SELECT choice.id, vote_change.votes, vote_change.points
        FROM vote_change
        JOIN choice ON choice.id = vote_change.choice_id
        ORDER BY choice.id
        FOR NO KEY UPDATE OF choice
    ),
    updated_choice AS (
        UPDATE choice
        SET votes = choice.votes + locked_choice.votes, points = choice.points + locked_choice.points
        FROM locked_choice
        WHERE choice.id = locked_choice.id
    ),
    updated_question AS (
        UPDATE question
        SET ballots = question.ballots + ballot_change.ballots, revision = question.revision + 1
        FROM (
            SELECT part.question_id, sum(part.change) AS ballots
            FROM (
                SELECT question_id, 1 AS change FROM incoming
                UNION ALL
                SELECT question_id, -1 FROM replaced
            ) AS part
            GROUP BY part.question_id
        ) AS ballot_change
        WHERE question.id = ballot_change.question_id
        RETURNING question.id, question.revision
    )
    SELECT
        poll.id,
        poll.refusal,
        extract(epoch FROM moment.now)::double precision AS now,
        updated_question.revision
    FROM moment
    CROSS JOIN poll
    LEFT JOIN updated_question ON updated_question.id = poll.id
"""

# PostgreSQL logs the text of a statement that fails. So the values of voters aren't in the text of RECORD, which can
# fail, but in session parameters; setting these takes no lock and writes nothing.
SET_VALUES = (
    "SET polls.salts = %(salts)s; SET polls.voters = %(voters)s; SET polls.marks = %(marks)s; "
    "SET polls.points = %(points)s"
)

RECORD = """
    EXECUTE lock_questions (%(questions)s);
    EXECUTE record_ballots (
        %(questions)s,
        %(editions)s,
        current_setting('polls.salts')::text[],
        %(ballot_questions)s,
        current_setting('polls.voters')::text[],
        current_setting('polls.marks')::text[],
        current_setting('polls.points')::text[],
        %(deadline)s
    )
"""

# A batch waits this long for locks; when that fails, its polls are tried one by one with the short time-out.
SET_LONG_LOCK_TIMEOUT = "SET lock_timeout = '1500ms'"
SET_SHORT_LOCK_TIMEOUT = "SET lock_timeout = '100ms'"

TIME = "SELECT extract(epoch FROM clock_timestamp())::double precision AS now"

RULES = compiled(
    sa.select(*POLL, question.c.voter_salt)
    .select_from(POLL_TABLES)
    .where(choice.c.id.is_not(None))
    .where(question.c.id == sa.any_(sa.bindparam("questions", type_=sa.ARRAY(sa.Integer))))
    .order_by(question.c.id, choice.c.position, choice.c.id)
)
