"""The connection that stores ballots: prepared statements, time-outs, warnings, clock offset."""

import asyncio
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

import aiopg
import psycopg2
from psycopg2.extras import NamedTupleCursor

from polls.domain.ballot import Ballot, Fault
from polls.domain.methods import Method, method_of
from polls.domain.poll import Poll
from polls.storage import ballot_sql
from polls.storage.postgres.pool import STATEMENT_TIMEOUT, Database
from polls.storage.questions import as_poll

# Seconds. PostgreSQL's own time-outs don't end a commit that waits for a synchronous standby.
_ANSWER_TIMEOUT = STATEMENT_TIMEOUT + 1
_VOTER_BYTES = 16  # of the hash that is stored for a voter


@dataclass(frozen=True)  # without slots: cached_property needs __dict__
class PollRules:
    """A poll as of one edition, and the salt with which its voters' keys are hashed."""

    poll: Poll
    salt: bytes

    @cached_property
    def method(self) -> Method:
        """Return the method by which the poll is voted on."""
        return method_of(self.poll)

    @cached_property
    def signing_key(self) -> bytes:
        """Return the poll's signing key, or nothing if its results are never hidden."""
        return self.poll.signing_key if self.poll.settings.hides_results else b""

    def fault_of(self, ballot: Ballot) -> Fault | None:
        """Return why `ballot` isn't valid in the poll, or None if it is."""
        return self.method.fault_of(self.poll, ballot)

    def stored(self, ballot: Ballot) -> Ballot:
        """Return a valid ballot as it is stored."""
        return self.method.stored(ballot)

    def hash_voter(self, ballot: Ballot) -> str:
        """Return the voter's stored form in hexadecimal digits: a hash that can't be reproduced without the salt."""
        return hashlib.blake2b(ballot.voter, key=self.salt, digest_size=_VOTER_BYTES).hexdigest()


class BallotConnection:
    """A dedicated connection to the primary, outside the pool; `open` replaces it after it was closed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: aiopg.Connection | None = None
        self._clock_offset = 0.0  # seconds: the database's clock minus the event loop's, or less

    @property
    def is_open(self) -> bool:
        """Return whether the connection is open, as far as is known."""
        return self._connection is not None and not self._connection.closed

    async def open(self) -> bool:
        """Connect unless connected; return whether the connection is new. Raises psycopg2.Error, TimeoutError."""
        await self._database.connect_to_primary()
        if self.is_open:
            return False
        self.close()
        self._connection = await self._database.connect()
        statements = ballot_sql.PREPARE, ballot_sql.SET_LONG_LOCK_TIMEOUT, ballot_sql.TIME
        self._set_clock_offset(await self.execute(";".join(statements)))
        return True

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def recheck_primary(self) -> None:
        """Search for the primary again before the next use: this connection's host may no longer accept writes."""
        if self._connection is not None:
            self._database.recheck_primary(self._connection)

    async def read_rules(self, question_ids: Iterable[int]) -> dict[int, PollRules]:
        """Return {question id: rules} of those of the polls that exist. Raises psycopg2.Error, TimeoutError."""
        rules = {}
        rows = await self.execute(ballot_sql.RULES, {"questions": sorted(question_ids)})
        for question_id, group in groupby(rows, lambda row: row.id):
            poll_rows = list(group)
            rules[question_id] = PollRules(as_poll(poll_rows), bytes(poll_rows[0].voter_salt))
        return rules

    async def record(
        self, rules: Mapping[int, PollRules], ballots: Mapping[tuple[int, str], Ballot], deadline: float
    ) -> dict[int, int | str]:
        """Store ballots in one transaction.

        `rules` are {question id: rules} of all polls in `ballots`, by id; `ballots` are {(question id, voter's hash):
        ballot}; `deadline` is by the event loop's clock. Returns {question id: revision that counts its ballots, or
        a refusal: "late", "absent", "edited", "closed"}. Raises psycopg2.Error, TimeoutError.
        """
        values = {
            "questions": _array(rules),
            "editions": _array(each.poll.edition for each in rules.values()),
            "salts": _array(each.salt.hex() for each in rules.values()),
            "ballot_questions": _array(question_id for question_id, _ in ballots),
            "voters": _array(voter for _, voter in ballots),
            "marks": _array(f'"{_array(ballot.marks)}"' for ballot in ballots.values()),
            "points": _array(
                "NULL" if ballot.points is None else f'"{_array(ballot.points)}"' for ballot in ballots.values()
            ),
            "deadline": deadline + self._clock_offset,
        }
        rows = await self.execute(ballot_sql.RECORD, values, before=ballot_sql.SET_VALUES)
        self._set_clock_offset(rows)
        if warnings := self._connection and self._connection.raw.notices:
            # A commit whose wait for the standby was cancelled succeeds with a warning, and may be on this host only.
            # The server's language decides how that is worded, so any warning counts.
            raise psycopg2.OperationalError(f"PostgreSQL warns: {' '.join(warnings)}")
        return {row.id: row.refusal or row.revision for row in rows}

    async def execute(
        self, statements: str, values: Mapping[str, object] | None = None, *, before: str = ""
    ) -> list[Any]:
        """Return the rows of the last of `statements`; `before` is sent first. Raises psycopg2.Error, TimeoutError."""
        connection = self._connection
        assert connection is not None  # nosec B101 # for mypy: callers have opened it
        del connection.raw.notices[:]
        async with connection.cursor(timeout=_ANSWER_TIMEOUT, cursor_factory=NamedTupleCursor) as cursor:
            if before:
                await cursor.execute(before, values)
            await cursor.execute(statements, values)
            rows = await cursor.fetchall() if cursor.description else []
        connection.raw.poll()  # only now psycopg2 reads a warning that arrived with the end of the answer
        return rows

    def _set_clock_offset(self, rows: Sequence[Any]) -> None:
        # The database read its clock before the response arrived, so the true offset is never less than this.
        self._clock_offset = rows[0].now - asyncio.get_running_loop().time()


def _array(elements: Iterable[object]) -> str:
    """Return the text of a PostgreSQL array. Numbers, hexadecimal digits and quoted elements need no escaping."""
    return f"{{{','.join(map(str, elements))}}}"
