"""Reading of polls: questions with their choices."""

from collections.abc import Sequence
from dataclasses import fields
from itertools import groupby
from typing import Any

import aiopg.sa
import sqlalchemy as sa

from polls.domain.poll import Choice, Poll, Question
from polls.domain.settings import DEFAULT_SETTINGS, PollSettings, Results
from polls.storage.postgres.pool import Database, acquired
from polls.storage.postgres.statements import compiled
from polls.storage.tables import choice, poll_settings, question

# Columns that `as_question` and `as_poll` read.
QUESTION = (
    question.c.id,
    question.c.question_text,
    question.c.pub_date,
    question.c.closes_at,
    question.c.edited_at,
    question.c.slug,
    question.c.is_listed,
    question.c.hidden_at,
)
POLL = (
    *QUESTION,
    question.c.ballots,
    question.c.revision,
    question.c.edition,
    choice.c.id.label("choice_id"),
    choice.c.choice_text,
    choice.c.votes,
    choice.c.points,
    *(poll_settings.c[field.name] for field in fields(PollSettings)),
    poll_settings.c.question_id.label("settings_id"),  # null: the poll has the defaults
    poll_settings.c.owner_hash,
    poll_settings.c.asked_at.is_not(None).label("is_asked_by_visitor"),
    # A hash: the salt itself, which links ballots to voters, is read only where ballots are recorded.
    sa.literal_column("substring(sha256(voter_salt || 'seal'), 1, 16)").label("signing_key"),
    sa.func.now().label("as_of"),
)
POLL_TABLES = question.outerjoin(choice).outerjoin(poll_settings, poll_settings.c.question_id == question.c.id)

_FIND = compiled(
    sa.select(*POLL)
    .select_from(POLL_TABLES)
    .where(question.c.id == sa.bindparam("question_id"))
    .order_by(choice.c.position, choice.c.id)
)

_FIND_ALL = compiled(
    sa.select(*POLL)
    .select_from(POLL_TABLES)
    .where(question.c.id == sa.any_(sa.bindparam("question_ids", type_=sa.ARRAY(sa.Integer))))
    .order_by(question.c.id, choice.c.position, choice.c.id)
)

_FIND_ID = "SELECT id FROM question WHERE slug = %(custom_slug)s"


async def find(database: Database, question_id: int) -> Poll | None:
    """Return a poll, published or not, with its choices in their order, or None if it doesn't exist."""
    async with acquired(database) as connection:
        return await read(connection, question_id)


async def find_id(database: Database, custom_slug: str) -> int | None:
    """Return the id of the poll with this custom slug, or None."""
    async with acquired(database) as connection:
        question_id: int | None = await connection.scalar(_FIND_ID, {"custom_slug": custom_slug})
        return question_id


async def read(connection: aiopg.sa.SAConnection, question_id: int) -> Poll | None:
    """Return a poll as `find` does, but read in the transaction of `connection`."""
    rows = await (await connection.execute(_FIND, question_id=question_id)).fetchall()
    return as_poll(rows) if rows else None


async def find_all(database: Database, question_ids: Sequence[int]) -> list[Poll]:
    """Return those of the polls that exist, by id."""
    async with acquired(database) as connection:
        return await read_all(connection, question_ids)


async def read_all(connection: aiopg.sa.SAConnection, question_ids: Sequence[int]) -> list[Poll]:
    """Return polls as `find_all` does, but read in the transaction of `connection`."""
    found = await connection.execute(_FIND_ALL, question_ids=list(question_ids))
    rows = await found.fetchall()
    return [as_poll(list(poll_rows)) for _, poll_rows in groupby(rows, lambda row: row.id)]


def as_question(row: Any) -> Question:  # noqa: ANN401 - aiopg has no types
    """Return the question in a row with the columns QUESTION."""
    return Question(
        row.id,
        row.question_text,
        row.pub_date,
        row.closes_at,
        row.edited_at,
        custom_slug=row.slug,
        is_listed=row.is_listed,
        taken_down_at=row.hidden_at,
    )


def as_poll(rows: Sequence[Any]) -> Poll:
    """Return the poll in rows with the columns POLL: one for each choice in order, or a single one without choice."""
    first = rows[0]
    choices = tuple(
        Choice(row.choice_id, row.choice_text, row.votes, row.points) for row in rows if row.choice_id is not None
    )
    settings = DEFAULT_SETTINGS if first.settings_id is None else _as_settings(first)
    return Poll(
        as_question(first),
        choices,
        first.as_of,
        first.ballots,
        first.revision,
        first.edition,
        settings,
        is_asked_by_visitor=first.is_asked_by_visitor,
        owner_hash=first.owner_hash and bytes(first.owner_hash),
        signing_key=bytes(first.signing_key),
    )


def _as_settings(row: Any) -> PollSettings:  # noqa: ANN401
    values = {field.name: getattr(row, field.name) for field in fields(PollSettings)}
    return PollSettings(**{**values, "results": Results(row.results)})
