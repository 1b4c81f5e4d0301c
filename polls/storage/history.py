"""History: an entry for each action, written in its transaction and kept after its subject was deleted."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import aiopg.sa
import sqlalchemy as sa

from polls.domain.account import Account
from polls.domain.methods import METHODS
from polls.domain.permissions import Person
from polls.domain.poll import Poll
from polls.domain.settings import DEFAULT_SETTINGS, PollSettings
from polls.storage.postgres.pool import Database, acquired
from polls.storage.tables import history

# One statement for any number of entries: SQLAlchemy takes 20 ms to compile an INSERT of 100 rows.
_RECORD_POLLS = """
    INSERT INTO history (actor, deed, subject, name, changes, edition)
    SELECT %(actor)s, %(deed)s, subject, name, changes, edition
    FROM jsonb_to_recordset(%(entries)s) AS entry (subject text, name text, changes jsonb, edition bigint)
"""


class Change(NamedTuple):
    """A changed value: `what` is its name; `old` and `new` are its values before and after (None: no value).

    The name of a limit or label of a method is `multiple.most_marks`; its value is empty if there is no limit.
    """

    what: str
    old: str | None
    new: str | None


class HistoryEvent(NamedTuple):
    """An action (`verb`) of `actor` on a `subject` ("poll:12", "account:ada"), whose name at that time was `name`.

    `edition` is the edition of the poll after the action, None for other subjects.
    """

    at: datetime
    actor: str
    verb: str
    subject: str
    name: str
    changes: Sequence[Change]
    edition: int | None

    @property
    def username(self) -> str | None:
        """Return the user name of the actor, or None for the command line and the owner of a poll."""
        kind, _, name = self.actor.partition(":")
        return name if kind == "admin" else None

    @property
    def is_by_owner(self) -> bool:
        """Return whether the owner of the poll did this."""
        return self.actor == "owner"

    @property
    def question_id(self) -> int | None:
        """Return the id of the poll that is the subject, or None for another subject."""
        kind, _, number = self.subject.partition(":")
        return int(number) if kind == "poll" else None


def poll_subject(question_id: int) -> str:
    """Return the subject for a poll: "poll:12"."""
    return f"poll:{question_id}"


def account_subject(account: Account) -> str:
    """Return the subject for an account: "account:ada"."""
    return f"account:{account.username}"


async def record_polls(
    connection: aiopg.sa.SAConnection, person: Person, verb: str, polls: Iterable[tuple[Poll, Sequence[Change]]]
) -> None:
    """Insert an entry for an action on each of `polls` with its changes, in the transaction of `connection`.

    Each poll is as it is afterwards, or as it was before it was deleted.
    """
    entries = [
        {
            "subject": poll_subject(poll.question.id),
            "name": poll.question.text,
            "changes": changes,
            "edition": poll.edition,
        }
        for poll, changes in polls
    ]
    values = {"actor": person.name, "deed": verb, "entries": json.dumps(entries)}
    await connection.execute(_RECORD_POLLS, values)


async def record_account(connection: aiopg.sa.SAConnection, person: Person, verb: str, account: Account) -> None:
    """Insert an entry for an action on an account, in the transaction of `connection`."""
    values = {"subject": account_subject(account), "name": account.username, "deed": verb}
    await connection.execute(history.insert().values(actor=person.name, **values))


async def latest(  # noqa: PLR0913 - each is a filter or a page
    database: Database,
    *,
    subject: str | None = None,
    actor: str | None = None,
    after_edition: int = -1,
    skip: int = 0,
    limit: int,
) -> list[HistoryEvent]:
    """Return the latest entries, newest first, of one `subject` and `actor` or of all, without the first `skip`.

    `after_edition` excludes actions that made that edition of the poll or an earlier one.
    """
    query = sa.select(history).order_by(history.c.id.desc()).offset(skip).limit(limit)
    if subject is not None:
        query = query.where(history.c.subject == subject)
    if actor is not None:
        query = query.where(history.c.actor == actor)
    if after_edition >= 0:
        query = query.where(history.c.edition > after_edition)
    async with acquired(database) as connection:
        found = await connection.execute(query)
        rows = await found.fetchall()
    return [
        HistoryEvent(
            row.at, row.actor, row.deed, row.subject, row.name, [Change(*each) for each in row.changes], row.edition
        )
        for row in rows
    ]


def changes_between(before: Poll | None, after: Poll | None) -> list[Change]:
    """Return the changes from one state to another; None is a poll that doesn't exist (yet, or any more)."""
    old, new = _values(before), _values(after)
    # An empty text, which is no limit, comes and goes with its method: that is no change.
    changes = [
        Change(key[0], old.get(key), new.get(key))
        for key in old | new
        if (old.get(key) or None) != (new.get(key) or None)
    ]
    if before and after and [key for key in old if key in new] != [key for key in new if key in old]:
        changes.append(Change("order", _choice_texts(before), _choice_texts(after)))
    return changes


def _values(poll: Poll | None) -> dict[tuple[str, int], str | None]:
    """Return {(name of the value, id of the choice or 0): value}."""
    if poll is None:
        return {}
    return {
        ("text", 0): poll.question.text,
        ("address", 0): poll.question.custom_slug,
        ("published", 0): _iso(poll.question.pub_date),
        ("closes", 0): _iso(poll.question.closes_at),
        ("ballots", 0): str(poll.ballots) if poll.ballots else None,
        **{(name, 0): value for name, value in _settings(poll.settings).items()},
        **{("choice", choice.id): choice.text for choice in poll.choices},
    }


def _settings(settings: PollSettings) -> dict[str, str | None]:
    """Return {name of a setting: value or None}; no limit is an empty text."""
    method = METHODS[settings.method]
    limits = {name: getattr(settings, name) for name in method.LIMITS}
    return {
        "description": settings.description or None,
        "method": settings.method if settings.method != DEFAULT_SETTINGS.method else None,
        **{f"{settings.method}.{name}": "" if limit is None else str(limit) for name, limit in limits.items()},
        **{f"{settings.method}.{name}": getattr(settings, name) or None for name in method.LABELS},
        "results": settings.results.value if settings.results is not DEFAULT_SETTINGS.results else None,
        "results_from": str(settings.results_from) if settings.results_from else None,
        "is_sealed": "yes" if settings.is_sealed else None,
    }


def _choice_texts(poll: Poll) -> str:
    return ", ".join(choice.text for choice in poll.choices)


def _iso(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat() if moment else None
