"""History: who did what and when. It is written in the transaction that does it, and outlives what it tells of."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import aiopg.sa
import sqlalchemy as sa

from polls.domain.account import Account
from polls.domain.permissions import Person
from polls.domain.poll import Poll
from polls.storage.postgres.pool import Database, acquired
from polls.storage.tables import history


class Change(NamedTuple):
    """One thing that a deed changed: `what` it was, and its value before and after (None: there was, or is, none)."""

    what: str
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True)
class HistoryEvent:
    """What is done (`verb`) to a `subject`, which is called `name`; of a poll, the `edition` that it makes."""

    verb: str
    subject: str
    name: str
    changes: Sequence[Change] = ()
    edition: int | None = None

    @property
    def question_id(self) -> int | None:
        """The id of the poll that it is done to, None where it is something else."""
        kind, _, number = self.subject.partition(":")
        return int(number) if kind == "poll" else None


class Entry(NamedTuple):
    """What was done `at` some time; `actor` is the name of the person who did it."""

    at: datetime
    actor: str
    deed: HistoryEvent


def to_poll(verb: str, poll: Poll, changes: Sequence[Change] = ()) -> HistoryEvent:
    """Something that is done to a poll, which is `poll` afterwards, or was it last."""
    return HistoryEvent(verb, of_poll(poll.question.id), poll.question.text, changes, poll.edition)


def to_account(verb: str, account: Account) -> HistoryEvent:
    """Something that is done to an account, or with it."""
    return HistoryEvent(verb, of_account(account), account.username)


def of_poll(question_id: int) -> str:
    """The subject that a poll is, also when it is gone."""
    return f"poll:{question_id}"


def of_account(account: Account) -> str:
    """The subject that an account is."""
    return f"account:{account.username}"


async def record(connection: aiopg.sa.SAConnection, person: Person, deed: HistoryEvent) -> None:
    """Write down what `person` does, in the transaction of `connection`."""
    await connection.execute(
        history.insert().values(
            actor=person.name,
            subject=deed.subject,
            name=deed.name,
            deed=deed.verb,
            changes=deed.changes,
            edition=deed.edition,
        )
    )


async def latest(
    database: Database, *, subject: str | None = None, after_edition: int = -1, skip: int = 0, limit: int
) -> list[Entry]:
    """The latest entries, newest first; of one `subject`, or of all.

    `after_edition` leaves out what made that edition of the poll, or an earlier one.
    """
    wanted = sa.select(history).order_by(history.c.id.desc()).offset(skip).limit(limit)
    if subject is not None:
        wanted = wanted.where(history.c.subject == subject)
    if after_edition >= 0:
        wanted = wanted.where(history.c.edition > after_edition)
    async with acquired(database) as connection:
        found = await connection.execute(wanted)
        return [_entry(row) async for row in found]


def _entry(row: Any) -> Entry:  # noqa: ANN401 - aiopg has no types
    changes = [Change(*change) for change in row.changes]
    deed = HistoryEvent(row.deed, row.subject, row.name, changes, row.edition)
    return Entry(row.at, row.actor, deed)
