"""History: an entry for each action, written in its transaction and kept after its subject was deleted."""

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
    """A changed value: the name of `what` changed, and its values before and after (None: no value)."""

    what: str
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True)
class HistoryEvent:
    """An action (`verb`) on a `subject` ("poll:12", "account:ada"), whose name at that time was `name`.

    `edition` is the edition of the poll after the action, None for other subjects.
    """

    verb: str
    subject: str
    name: str
    changes: Sequence[Change] = ()
    edition: int | None = None

    @property
    def question_id(self) -> int | None:
        """Return the id of the poll that is the subject, or None for another subject."""
        kind, _, number = self.subject.partition(":")
        return int(number) if kind == "poll" else None


class Entry(NamedTuple):
    """An event with its time and the name of the person who caused it."""

    at: datetime
    actor: str
    event: HistoryEvent


def poll_event(verb: str, poll: Poll, changes: Sequence[Change] = ()) -> HistoryEvent:
    """Return an event of a poll; `poll` is its state afterwards, or before it was deleted."""
    return HistoryEvent(verb, poll_subject(poll.question.id), poll.question.text, changes, poll.edition)


def account_event(verb: str, account: Account) -> HistoryEvent:
    """Return an event of an account."""
    return HistoryEvent(verb, account_subject(account), account.username)


def poll_subject(question_id: int) -> str:
    """Return the subject for a poll: "poll:12"."""
    return f"poll:{question_id}"


def account_subject(account: Account) -> str:
    """Return the subject for an account: "account:ada"."""
    return f"account:{account.username}"


async def record(connection: aiopg.sa.SAConnection, person: Person, event: HistoryEvent) -> None:
    """Insert an entry for an action by `person`, in the transaction of `connection`."""
    await connection.execute(
        history.insert().values(
            actor=person.name,
            subject=event.subject,
            name=event.name,
            deed=event.verb,
            changes=event.changes,
            edition=event.edition,
        )
    )


async def latest(
    database: Database, *, subject: str | None = None, after_edition: int = -1, skip: int = 0, limit: int
) -> list[Entry]:
    """Return the latest entries, newest first, of one `subject` or of all, without the first `skip`.

    `after_edition` excludes events that made that edition of the poll or an earlier one.
    """
    query = sa.select(history).order_by(history.c.id.desc()).offset(skip).limit(limit)
    if subject is not None:
        query = query.where(history.c.subject == subject)
    if after_edition >= 0:
        query = query.where(history.c.edition > after_edition)
    async with acquired(database) as connection:
        found = await connection.execute(query)
        return [_entry(row) async for row in found]


def _entry(row: Any) -> Entry:  # noqa: ANN401 - aiopg has no types
    changes = [Change(*change) for change in row.changes]
    event = HistoryEvent(row.deed, row.subject, row.name, changes, row.edition)
    return Entry(row.at, row.actor, event)
