"""Ballots: stored, counted and announced, many in one transaction.

Whoever changes a poll, its choices or its ballots locks the question's row first, polls by id, then the choices by id.
So nobody waits in a circle, and what is read after the lock stays true until the commit.
"""

import asyncio
import hashlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeAlias

import aiopg
import psycopg2
import sqlalchemy as sa
from psycopg2.extras import NamedTupleCursor

from polls.aio import is_cancelled
from polls.config.settings import Postgres
from polls.domain.ballot import Ballot
from polls.domain.errors import NothingChosen, PollClosed, PollNotFound, VoteNotStored
from polls.domain.poll import Poll
from polls.storage.postgres.connect import UnusableDatabase, advice
from polls.storage.postgres.pool import CONNECTION_ERRORS, STATEMENT_TIMEOUT, Database, compiled
from polls.storage.questions import POLL, as_poll
from polls.storage.tables import choice, question

logger = logging.getLogger(__name__)

Refusal: TypeAlias = PollNotFound | PollClosed | NothingChosen | VoteNotStored
Outcome: TypeAlias = int | Refusal  # of a ballot: the revision of the poll that counts it, or why it was refused

_ANSWER_TIMEOUT = STATEMENT_TIMEOUT + 1  # seconds; no time-out of PostgreSQL ends a commit that waits for its standby
_FAULTS_OF_ONE_POLL = (psycopg2.errors.LockNotAvailable, psycopg2.IntegrityError, psycopg2.DataError, ValueError)
_ATTEMPTS = 5  # at a batch whose polls are being edited, or that PostgreSQL chose to end a deadlock
_VOTER_BYTES = 16  # what is stored of a voter's hash
_REMEMBERED = 1000  # polls whose rules are kept in memory

# In two statements, and never in one: a statement sees what was committed when it began, so that one that waits for the
# lock itself would read the old ballots as they were before the wait, and count them wrongly. Sent together they are
# one transaction and one round trip. Both are prepared: planning them costs more than running them.
_PREPARE = """
    SET plan_cache_mode = force_generic_plan;
    SET polls.recorder = 'on'; -- the triggers on `choice` need not look after the revision

    PREPARE lock_questions (integer[]) AS
    SELECT id
    FROM question
    WHERE id = ANY ($1)
    ORDER BY id
    FOR NO KEY UPDATE;

    -- $1, $2, $3: the polls, and of each the edition and the salt that its ballots were checked and hidden with.
    -- $4, $5, $6: of each ballot the poll, the voter in hexadecimal digits, and the marks as an array's text.
    -- $7: the moment, in seconds since 1970, until which they may be stored.
    -- Tells of each poll why its ballots are refused, or its revision that counts them; and what time it is.
    PREPARE record_ballots (integer[], bigint[], text[], integer[], text[], text[], double precision) AS
    WITH moment AS MATERIALIZED (
        -- Not now(), which is when the transaction began: the poll may have been closed while we waited for the lock.
        SELECT clock_timestamp() AS here
    ),
    asked AS MATERIALIZED (
        SELECT
            checked.id,
            CASE
                -- Nobody waits for us any more, and its voters may have changed their ballots elsewhere.
                WHEN moment.here > to_timestamp($7) THEN 'late'
                WHEN question.id IS NULL OR question.pub_date > moment.here THEN 'absent'
                -- The salt tells whether it is the same poll at all, or another one in its place.
                WHEN question.edition <> checked.edition OR question.voter_salt <> decode(checked.salt, 'hex')
                THEN 'edited'
                WHEN question.closes_at <= moment.here THEN 'closed'
            END AS refusal
        FROM moment
        CROSS JOIN unnest($1, $2, $3) AS checked (id, edition, salt)
        LEFT JOIN question ON question.id = checked.id
    ),
    incoming AS MATERIALIZED (
        SELECT handed.question_id, decode(handed.voter, 'hex') AS voter, handed.marks::integer[] AS marks
        FROM unnest($4, $5, $6) AS handed (question_id, voter, marks)
        JOIN asked ON asked.id = handed.question_id
        WHERE asked.refusal IS NULL
    ),
    replaced AS MATERIALIZED (
        SELECT ballot.question_id, ballot.marks
        FROM incoming
        JOIN ballot ON ballot.question_id = incoming.question_id AND ballot.voter = incoming.voter
    ),
    stored AS (
        -- A ballot that says what it said before is written all the same: whoever is told that it counts may rely on
        -- this commit, when nobody knows what became of the earlier one.
        INSERT INTO ballot (question_id, voter, marks, cast_at, changed_at)
        SELECT incoming.question_id, incoming.voter, incoming.marks, moment.here, moment.here
        FROM incoming
        CROSS JOIN moment
        ON CONFLICT (question_id, voter) DO UPDATE SET marks = excluded.marks, changed_at = excluded.changed_at
    ),
    moved AS (
        SELECT marked.choice_id, sum(marked.change) AS votes
        FROM (
            SELECT unnest(marks) AS choice_id, 1 AS change FROM incoming
            UNION ALL
            SELECT unnest(marks), -1 FROM replaced
        ) AS marked
        GROUP BY marked.choice_id
    ),
    locked AS (
        SELECT choice.id, moved.votes
        FROM moved
        JOIN choice ON choice.id = moved.choice_id
        ORDER BY choice.id
        FOR NO KEY UPDATE OF choice
    ),
    counted AS (
        UPDATE choice
        SET votes = choice.votes + locked.votes
        FROM locked
        WHERE choice.id = locked.id
    ),
    touched AS (
        UPDATE question
        SET ballots = question.ballots + fresh.ballots, revision = question.revision + 1
        FROM (
            SELECT handed.question_id, sum(handed.change) AS ballots
            FROM (
                SELECT question_id, 1 AS change FROM incoming
                UNION ALL
                SELECT question_id, -1 FROM replaced
            ) AS handed
            GROUP BY handed.question_id
        ) AS fresh
        WHERE question.id = fresh.question_id
        RETURNING question.id, question.revision
    )
    SELECT
        asked.id,
        asked.refusal,
        extract(epoch FROM moment.here)::double precision AS here,
        touched.revision
    FROM moment
    CROSS JOIN asked
    LEFT JOIN touched ON touched.id = asked.id
"""

_RECORD = """
    EXECUTE lock_questions (%(questions)s);
    EXECUTE record_ballots (
        %(questions)s, %(editions)s, %(salts)s, %(asked)s, %(voters)s, %(marks)s, %(until)s
    )
"""

# What somebody else holds for longer is answered without it; then each poll is tried alone.
_PATIENT = "SET lock_timeout = '1500ms'"
_IMPATIENT = "SET lock_timeout = '100ms'"

_TIME = "SELECT extract(epoch FROM clock_timestamp())::double precision AS here"

_RULES = compiled(
    sa.select(*POLL, question.c.edition, question.c.voter_salt)
    .join_from(question, choice)
    .where(question.c.id == sa.any_(sa.bindparam("questions", type_=sa.ARRAY(sa.Integer))))
    .order_by(question.c.id, choice.c.position, choice.c.id)
)


@dataclass(frozen=True, slots=True)
class _Rules:
    """What a poll's ballots are checked against, as of one edition of it, and the key that hides its voters."""

    poll: Poll
    edition: int
    salt: bytes

    def stored_voter(self, ballot: Ballot) -> str:
        """The voter's name in the database, in hexadecimal digits: without the salt, nobody can tell whose it is."""
        return hashlib.blake2b(ballot.voter, key=self.salt, digest_size=_VOTER_BYTES).hexdigest()


async def open_recorder(postgres: Postgres, database: Database) -> "Recorder":
    """A Recorder that is connected to where `database` leads. Raises UnusableDatabase."""
    recorder = Recorder(database)
    try:
        await recorder.open()
    except (psycopg2.Error, TimeoutError) as error:
        recorder.close()
        raise UnusableDatabase(advice(postgres, error)) from error
    return recorder


class Recorder:
    """Stores ballots over a connection of its own to where `database` leads, one batch at a time."""

    def __init__(self, database: Database) -> None:
        self._engine = database
        self._connection: aiopg.Connection | None = None
        self._rules: dict[int, _Rules] = {}
        self._clock_ahead = 0.0  # seconds by which the database's clock is at least ahead of the event loop's

    async def record(self, ballots: Sequence[Ballot], seconds: float) -> list[Outcome]:
        """Store `ballots` in one transaction, and say of each, in their order, what became of it.

        Of several by one voter in one poll the last one stays. After `seconds` nothing is stored any more, even by a
        transaction that was given up and still waits for a lock: it would undo what a voter has changed since. Raises
        VoteNotStored when it isn't known what became of them.
        """
        try:
            return await self._record(ballots, _now() + seconds)
        except BaseException as error:
            # What the server makes of what it was sent, nobody knows any more.
            self._doubt()
            self.close()
            if isinstance(error, asyncio.CancelledError) and not is_cancelled():
                raise VoteNotStored from TimeoutError("PostgreSQL has cancelled the statement")
            if isinstance(error, TimeoutError):
                raise VoteNotStored from TimeoutError("PostgreSQL does not answer")
            if isinstance(error, (*CONNECTION_ERRORS, OSError)):
                raise VoteNotStored from error
            raise

    async def open(self) -> None:
        """Connect, where it isn't done yet. Raises psycopg2.Error, TimeoutError."""
        await self._engine.connect_to_primary()
        if self._connection is None or self._connection.closed:
            self.close()
            self._rules.clear()  # another host may not know the latest edition
            self._connection = await self._engine.connect()
            await self._execute(_PREPARE)
            await self._execute(_PATIENT)
            self._set_clock(await self._execute(_TIME))

    def close(self) -> None:
        """Close the connection; `record` opens another one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _doubt(self) -> None:
        if self._connection is not None:
            self._engine.recheck_primary(self._connection)

    async def _record(self, ballots: Sequence[Ballot], until: float) -> list[Outcome]:
        outcomes: dict[int, Outcome] = {}  # by the ballot's place
        pending: Sequence[int] = range(len(ballots))
        for question_id in list(self._rules)[:-_REMEMBERED]:
            del self._rules[question_id]
        for _ in range(_ATTEMPTS):
            await self.open()
            outcomes |= await self._refused_by_rules(ballots, pending)
            pending = [place for place in pending if place not in outcomes]
            try:
                answers = await self._store(ballots, pending, until)
            except (psycopg2.errors.DeadlockDetected, psycopg2.errors.SerializationFailure) as error:
                logger.info("a batch of ballots is tried again: %s", type(error).__name__)
                continue
            edited = {question_id for question_id, answer in answers.items() if answer == "edited"}
            for place in pending:
                question_id = ballots[place].question_id
                if question_id not in edited:
                    outcomes[place] = self._outcome(question_id, answers[question_id])
            if not edited:
                break
            pending = [place for place in pending if place not in outcomes]
            await self._learn(edited)
        return [outcomes[place] if place in outcomes else VoteNotStored() for place in range(len(ballots))]

    def _outcome(self, question_id: int, answer: int | str) -> Outcome:
        match answer:
            case int():
                return answer
            case "absent":
                return PollNotFound(question_id)
            case "closed":
                at = self._rules[question_id].poll.question.closes_at
                return PollClosed(question_id, at) if at else VoteNotStored()
        return VoteNotStored()

    async def _refused_by_rules(self, ballots: Sequence[Ballot], places: Sequence[int]) -> dict[int, Refusal]:
        """What their polls don't accept, by place."""
        doubtful = {ballots[place].question_id for place in places if not self._accepts(ballots[place])}
        if not doubtful:
            return {}
        # What is remembered may be an older edition: nobody is refused by it.
        await self._learn(doubtful)
        return {
            place: NothingChosen(ballots[place].question_id)
            if ballots[place].question_id in self._rules
            else PollNotFound(ballots[place].question_id)
            for place in places
            if not self._accepts(ballots[place])
        }

    def _accepts(self, ballot: Ballot) -> bool:
        rules = self._rules.get(ballot.question_id)
        return rules is not None and rules.poll.accepts(ballot)

    async def _learn(self, question_ids: set[int]) -> None:
        """Read what these polls accept."""
        for question_id in question_ids:
            self._rules.pop(question_id, None)
        found = await self._execute(_RULES, {"questions": sorted(question_ids)})
        for question_id, rows_of_poll in groupby(found, lambda row: row.id):
            rows = list(rows_of_poll)
            self._rules[question_id] = _Rules(as_poll(rows), rows[0].edition, bytes(rows[0].voter_salt))

    async def _store(self, ballots: Sequence[Ballot], places: Sequence[int], until: float) -> dict[int, int | str]:
        """Store them together, and say of each poll which revision counts them, or why it refused.

        Where one poll can't be had (somebody holds it, or its counts are spoilt), the others go on without it.
        """
        try:
            return await self._send(ballots, places, until)
        except _FAULTS_OF_ONE_POLL as error:
            if isinstance(error, psycopg2.errors.LockNotAvailable):
                # What holds it may be a commit that waits for the standby that has taken over.
                self._doubt()
            question_ids = sorted({ballots[place].question_id for place in places})
            if len(question_ids) == 1:
                reason = " ".join(str(error).split())
                logger.error("the ballots for poll %d can't be stored: %s", *question_ids, reason)  # noqa: TRY400
                return dict.fromkeys(question_ids, "unavailable")
        answers: dict[int, int | str] = {}
        await self._execute(_IMPATIENT)
        for question_id in question_ids:
            of_poll = [place for place in places if ballots[place].question_id == question_id]
            answers |= await self._store(ballots, of_poll, until)
        await self._execute(_PATIENT)
        return answers

    async def _send(self, ballots: Sequence[Ballot], places: Sequence[int], until: float) -> dict[int, int | str]:
        """Send one transaction, and say of each poll in it which revision counts its ballots, or why it refused."""
        # Of twins, the later one replaces the earlier one, as it would in the next batch.
        marks: dict[tuple[int, str], tuple[int, ...]] = {}
        for place in places:
            ballot = ballots[place]
            voter = self._rules[ballot.question_id].stored_voter(ballot)
            marks[ballot.question_id, voter] = ballot.marks
        if not marks:
            return {}
        question_ids = sorted({question_id for question_id, _ in marks})
        rows = await self._execute(
            _RECORD,
            {
                "questions": _array(question_ids),
                "editions": _array(self._rules[question_id].edition for question_id in question_ids),
                "salts": _array(self._rules[question_id].salt.hex() for question_id in question_ids),
                "asked": _array(question_id for question_id, _ in marks),
                "voters": _array(voter for _, voter in marks),
                "marks": _array(f'"{_array(parse_marks)}"' for parse_marks in marks.values()),
                "until": until + self._clock_ahead,
            },
        )
        self._set_clock(rows)
        if warnings := self._connection and self._connection.raw.notices:
            # A commit whose wait for its standby was cancelled succeeds, and only this tells that it is here alone. In
            # what language it is said, and in what words, the server decides: so any warning counts.
            raise psycopg2.OperationalError(f"PostgreSQL warns: {' '.join(warnings)}")
        return {row.id: row.refusal or row.revision for row in rows}

    def _set_clock(self, rows: Sequence[Any]) -> None:
        """Learn the database's time. It was read before it came here, so that it is later there than we think."""
        self._clock_ahead = rows[0].here - _now()

    async def _execute(self, statements: str, values: dict[str, Any] | None = None) -> list[Any]:
        connection = self._connection
        assert connection is not None  # noqa: S101
        del connection.raw.notices[:]
        async with connection.cursor(timeout=_ANSWER_TIMEOUT, cursor_factory=NamedTupleCursor) as cursor:
            await cursor.execute(statements, values)
            rows = await cursor.fetchall() if cursor.description else []
        connection.raw.poll()  # psycopg2 passes on a warning that came together with the end of an answer only now
        return rows


def _now() -> float:
    """Seconds by the clock of the event loop, which nobody sets."""
    return asyncio.get_running_loop().time()


def _array(elements: Iterable[object]) -> str:
    """The text of a PostgreSQL array. Numbers, hexadecimal digits and what is in quotes need no escaping."""
    return f"{{{','.join(map(str, elements))}}}"
