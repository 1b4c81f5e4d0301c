"""Recording of ballots in batches: each batch is stored, counted and announced in one transaction.

Every change of a poll, its choices or its ballots locks the question's row first, polls by id, then the choices by id.
This order prevents deadlocks, and rows that are read after the lock don't change until the commit.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import psycopg2

from polls.aio import is_cancelled
from polls.config.settings import Postgres
from polls.domain.ballot import Ballot, Counted
from polls.domain.errors import InvalidBallot, PollClosed, PollNotFound, PollTakenDown, VoteNotStored, VotingBroken
from polls.storage import ballot_sql
from polls.storage.ballot_connection import BallotConnection, PollRules
from polls.storage.postgres.connect import UnusableDatabase, connect_error_message
from polls.storage.postgres.pool import CONNECTION_ERRORS, Database

logger = logging.getLogger(__name__)

Refusal: TypeAlias = PollNotFound | PollClosed | InvalidBallot | VoteNotStored | VotingBroken
Outcome: TypeAlias = Counted | Refusal

_ERRORS_OF_ONE_POLL = (psycopg2.errors.LockNotAvailable, psycopg2.IntegrityError, psycopg2.DataError, ValueError)
_MAX_ATTEMPTS = 5  # for a batch whose polls are being edited, or that PostgreSQL aborted to end a deadlock
_MAX_CACHED_POLLS = 1000
_COUNTS = ("choice_votes_check", "question_ballots_check")  # violated if counts contradict the ballots


async def open_recorder(postgres: Postgres, database: Database) -> "Recorder":
    """Return a connected Recorder. Raises UnusableDatabase."""
    recorder = Recorder(database)
    try:
        await recorder.open()
    except BaseException as error:
        recorder.close()
        if isinstance(error, asyncio.CancelledError) and not is_cancelled():
            error = TimeoutError("PostgreSQL has cancelled the statement")
        if isinstance(error, (psycopg2.Error, TimeoutError)):
            raise UnusableDatabase(connect_error_message(postgres, error)) from error
        raise
    return recorder


class Recorder:
    """A recorder that stores ballots over a dedicated connection, one batch at a time.

    The rules of at most `max_cached_polls` polls are kept from one batch to the next.
    """

    def __init__(self, database: Database, *, max_cached_polls: int = _MAX_CACHED_POLLS) -> None:
        self._connection = BallotConnection(database)
        self._rules: dict[int, PollRules] = {}  # those read longest ago first
        self._max_cached_polls = max_cached_polls

    @property
    def is_connected(self) -> bool:
        """Return whether the connection is open, as far as is known."""
        return self._connection.is_open

    async def record(self, ballots: Sequence[Ballot], seconds: float) -> list[Outcome]:
        """Store `ballots` in one transaction, and return the outcome of each, in their order.

        Of several ballots by one voter in one poll the last one is stored. After `seconds` nothing is stored, not even
        by a transaction that was abandoned here and still waits for a lock: it would undo what a voter has changed
        since. Raises VoteNotStored if it isn't known whether the transaction was committed, and VotingBroken if the
        database lacks a table, a column or a privilege.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        try:
            return await self._record_with_retries(ballots, deadline)
        except BaseException as error:
            # The server may or may not have run what it was sent: this connection is in an unknown state.
            self._connection.recheck_primary()
            self.close()
            if isinstance(error, asyncio.CancelledError) and not is_cancelled():
                raise VoteNotStored from TimeoutError("PostgreSQL has cancelled the statement")
            if isinstance(error, TimeoutError):
                raise VoteNotStored from TimeoutError("PostgreSQL does not answer")
            if isinstance(error, (*CONNECTION_ERRORS, OSError)):
                raise VoteNotStored from error
            if isinstance(error, psycopg2.ProgrammingError):
                raise VotingBroken from error
            raise

    async def open(self) -> None:
        """Connect unless connected. Raises psycopg2.Error, TimeoutError."""
        if await self._connection.open():
            self._rules.clear()  # another host may not have the latest edition

    def close(self) -> None:
        """Close the connection; `record` opens another one."""
        self._connection.close()

    async def _record_with_retries(self, ballots: Sequence[Ballot], deadline: float) -> list[Outcome]:
        outcomes: dict[int, Outcome] = {}  # {index in `ballots`: outcome}
        pending: Sequence[int] = range(len(ballots))
        for question_id in list(self._rules)[: -self._max_cached_polls]:
            del self._rules[question_id]
        for _ in range(_MAX_ATTEMPTS):
            await self.open()
            outcomes |= await self._refused_by_rules(ballots, pending)
            pending = [index for index in pending if index not in outcomes]
            try:
                answers = await self._store(ballots, pending, deadline)
            except (psycopg2.errors.DeadlockDetected, psycopg2.errors.SerializationFailure) as error:
                logger.info("retrying a batch of ballots after %s", type(error).__name__)
                continue
            edited = {question_id for question_id, answer in answers.items() if answer == "edited"}
            counted = self._counted(answers)
            for index in pending:
                question_id = ballots[index].question_id
                if question_id not in edited:
                    outcomes[index] = counted.get(question_id) or self._refusal_of(question_id, answers[question_id])
            if not edited:
                break
            pending = [index for index in pending if index not in outcomes]
            await self._read_rules(edited)
        return [outcomes[index] if index in outcomes else VoteNotStored() for index in range(len(ballots))]

    async def _refused_by_rules(self, ballots: Sequence[Ballot], indexes: Sequence[int]) -> dict[int, Refusal]:
        if not (refused := {index: refusal for index in indexes if (refusal := self._refusal(ballots[index]))}):
            return {}
        # The cached rules may be of an older edition: read them again before refusing a ballot.
        await self._read_rules({ballots[index].question_id for index in refused})
        return {index: refusal for index in indexes if (refusal := self._refusal(ballots[index]))}

    def _refusal(self, ballot: Ballot) -> Refusal | None:
        rules = self._rules.get(ballot.question_id)
        if rules is None or rules.poll.question.custom_slug != ballot.custom_slug:
            return PollNotFound(ballot.question_id)
        if rules.poll.question.is_taken_down:
            return PollTakenDown(ballot.question_id)
        fault = rules.fault_of(ballot)
        return InvalidBallot(ballot.question_id, fault, rules.poll.settings) if fault else None

    async def _read_rules(self, question_ids: set[int]) -> None:
        for question_id in question_ids:
            self._rules.pop(question_id, None)
        self._rules |= await self._connection.read_rules(question_ids)

    async def _store(self, ballots: Sequence[Ballot], indexes: Sequence[int], deadline: float) -> dict[int, int | str]:
        """Store ballots together, and return {question id: revision or refusal}.

        If that fails because of one poll (its row is locked, or its counts violate a constraint), store each poll's
        ballots in a transaction of their own.
        """
        try:
            return await self._store_together(ballots, indexes, deadline)
        except _ERRORS_OF_ONE_POLL as error:
            if isinstance(error, psycopg2.errors.LockNotAvailable):
                # The lock may be held by a commit that waits for a standby which has been promoted meanwhile.
                self._connection.recheck_primary()
            question_ids = sorted({ballots[index].question_id for index in indexes})
            if len(question_ids) == 1:
                return dict.fromkeys(question_ids, _refusal_after(error, *question_ids))
        answers: dict[int, int | str] = {}
        await self._connection.execute(ballot_sql.SET_SHORT_LOCK_TIMEOUT)
        for question_id in question_ids:
            poll_indexes = [index for index in indexes if ballots[index].question_id == question_id]
            answers |= await self._store(ballots, poll_indexes, deadline)
        await self._connection.execute(ballot_sql.SET_LONG_LOCK_TIMEOUT)
        return answers

    async def _store_together(
        self, ballots: Sequence[Ballot], indexes: Sequence[int], deadline: float
    ) -> dict[int, int | str]:
        # Of two ballots by one voter the later one replaces the earlier one, as it would in the next batch.
        latest: dict[tuple[int, str], Ballot] = {}
        for index in indexes:
            ballot = ballots[index]
            rules = self._rules[ballot.question_id]
            latest[ballot.question_id, rules.hash_voter(ballot)] = rules.stored(ballot)
        if not latest:
            return {}
        question_ids = sorted({question_id for question_id, _ in latest})
        return await self._connection.record({id_: self._rules[id_] for id_ in question_ids}, latest, deadline)

    def _counted(self, answers: Mapping[int, int | str]) -> dict[int, Counted]:
        """Return the answer that all counted ballots of a poll have, by question id."""
        revisions = {question_id: answer for question_id, answer in answers.items() if isinstance(answer, int)}
        return {
            question_id: Counted(revision, self._rules[question_id].signing_key)
            for question_id, revision in revisions.items()
        }

    def _refusal_of(self, question_id: int, answer: int | str) -> Refusal:
        match answer:
            case "absent":
                return PollNotFound(question_id)
            case "closed":
                at = self._rules[question_id].poll.question.closes_at
                return PollClosed(question_id, at) if at else VoteNotStored()
            case "broken":
                return VotingBroken(question_id)
        return VoteNotStored()


def _refusal_after(error: Exception, question_id: int) -> str:
    """Log why the ballots of one poll can't be stored, and return "locked" if that may pass, else "broken"."""
    reason = " ".join(str(error).split())
    if isinstance(error, psycopg2.errors.LockNotAvailable):
        logger.error("the ballots for poll %d can't be stored: %s", question_id, reason)
        return "locked"
    is_count = isinstance(error, psycopg2.errors.CheckViolation) and error.diag.constraint_name in _COUNTS
    remedy = f"`polls verify --repair --poll {question_id}`" if is_count else "`polls doctor`"
    logger.error("poll %d can't take votes until it is repaired with %s: %s", question_id, remedy, reason)
    return "broken"
