"""Editing of a poll: add and change, each with an entry in history.

They lock as `storage.ballots` does: the question's row first, polls by id, then the choices by id.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

import aiopg.sa
import psycopg2
from sqlalchemy.dialects import postgresql

from polls.domain.draft import Draft, DraftChoice
from polls.domain.errors import (
    ChoicesHaveVotes,
    ChoicesMarkedBesideOthers,
    PollEdited,
    PollNotFound,
    PollSealed,
    RemovalRevealsResults,
    RulesFixed,
    SlugTaken,
)
from polls.domain.methods import method_of
from polls.domain.permissions import Person
from polls.domain.poll import Poll, Question
from polls.domain.visibility import Role, hidden_from
from polls.storage.history import changes_between, record_polls
from polls.storage.postgres.pool import Database, acquired, transaction
from polls.storage.questions import read, read_all
from polls.storage.settings import write_settings
from polls.storage.tables import choice, question

_LOCK_QUESTIONS = "SELECT id FROM question WHERE id = ANY (%(ids)s) ORDER BY id FOR NO KEY UPDATE"
_ADDED_BY_FORM = "SELECT id FROM question WHERE form_key = %(form_key)s"
_LOCK_CHOICES = "SELECT id FROM choice WHERE question_id = %(id)s ORDER BY id FOR NO KEY UPDATE"

BATCH_SIZE = 5_000  # ballots that a statement reads; none may take longer than 2 seconds (STATEMENT_TIMEOUT)

# Reads the next batch of ballots, in the order of `voter`, and deletes those in it that mark nothing but %(marks)s. It
# deletes a range of the key instead of joining: the planner's statistics may be long out of date.
_DELETE_BALLOTS = f"""
    WITH batch AS MATERIALIZED (
        SELECT voter
        FROM ballot
        WHERE question_id = %(id)s AND voter > %(after)s
        ORDER BY voter
        LIMIT {BATCH_SIZE}
    ),
    last AS MATERIALIZED (
        SELECT voter
        FROM batch
        ORDER BY voter DESC
        LIMIT 1
    ),
    deleted AS (
        DELETE FROM ballot
        WHERE question_id = %(id)s AND voter > %(after)s AND voter <= (SELECT voter FROM last)
            AND (%(marks)s::integer[] IS NULL OR marks <@ %(marks)s)
        RETURNING voter
    )
    SELECT
        (SELECT voter FROM last) AS last,
        (SELECT count(*) FROM batch) AS size,
        (SELECT count(*) FROM deleted) AS count
"""  # nosec B608 # a constant of this module


async def add(database: Database, person: Person, draft: Draft, *, form_key: bytes | None = None) -> int:
    """Add a poll, and return its id. Raises SlugTaken, and PollEdited if a form with the same key has added one."""
    async with transaction(database) as connection:
        added = await insert(connection, person, draft, form_key=form_key)
        if added is None:
            raise PollEdited(await connection.scalar(_ADDED_BY_FORM, {"form_key": form_key}))
    return added.question.id


async def insert(connection: aiopg.sa.SAConnection, person: Person, draft: Draft, **others: object) -> Poll | None:
    """Add a poll in the transaction of `connection`, with `others`, columns of its question, and return it.

    Return None if there is one with the same `form_key`. Raises SlugTaken.
    """
    statement = (
        postgresql.insert(question)
        .values(**_question_values(person, draft), **others)
        .on_conflict_do_nothing(index_elements=[question.c.form_key])
        .returning(question.c.id)
    )
    with _slug_is_free():
        question_id: int | None = await connection.scalar(statement)
    if question_id is None:
        return None
    await write_settings(connection, question_id, None, draft.settings)
    await _write_choices(connection, question_id, None, draft.choices)
    added = await _read_locked(connection, question_id)
    await record_polls(connection, person, "added", [(added, changes_between(None, added))])
    return added


async def added_by_form(database: Database, form_key: bytes) -> int | None:
    """Return the id of the poll that the form with this key has added, or None."""
    async with acquired(database) as connection:
        question_id: int | None = await connection.scalar(_ADDED_BY_FORM, {"form_key": form_key})
        return question_id


async def change(
    database: Database,
    person: Person,
    question_id: int,
    draft: Draft,
    *,
    confirmed: frozenset[int] = frozenset(),
) -> None:
    """Change a poll to `draft`.

    Choices are removed together with their ballots; those that have any must be `confirmed`, by their ids. Raises
    PollNotFound, PollEdited, SlugTaken, RemovalRevealsResults, ChoicesHaveVotes, ChoicesMarkedBesideOthers,
    RulesFixed, PollSealed.
    """
    async with locked(database, person, [question_id]) as (connection, polls):
        if not polls:
            raise PollNotFound(question_id)
        (before,) = polls
        if before.edition != draft.edition:
            raise PollEdited(question_id)
        _check_removal(before, draft, confirmed)
        if before.ballots and before.settings.rules != draft.settings.rules:
            raise RulesFixed(question_id)
        if before.ballots and before.settings.is_sealed:
            _check_sealed(before, draft)
        await _remove_choices(connection, before, draft.removed)
        await write_settings(connection, question_id, before, draft.settings)
        await _write_choices(connection, question_id, before, draft.choices)
        await _update_question(connection, before.question, _question_values(person, draft))
        after = await _read_locked(connection, question_id)
        if changes := changes_between(before, after):
            await record_polls(connection, person, "changed", [(after, changes)])


def _question_values(person: Person, draft: Draft) -> dict[str, object]:
    """Return the columns of the question. Only those who moderate give a poll a custom slug."""
    values = {"question_text": draft.text, "pub_date": draft.pub_date, "closes_at": draft.closes_at}
    if draft.custom_slug is None or not person.may_moderate:
        return values
    return {**values, "slug": draft.custom_slug or None}


async def _update_question(connection: aiopg.sa.SAConnection, old: Question, values: dict[str, object]) -> None:
    """Write the columns `values` unless they are the same already: an update would raise the edition."""
    saved = {"question_text": old.text, "pub_date": old.pub_date, "closes_at": old.closes_at, "slug": old.custom_slug}
    if values != {name: saved[name] for name in values}:
        with _slug_is_free():
            await connection.execute(question.update().where(question.c.id == old.id).values(**values))


@contextmanager
def _slug_is_free() -> Iterator[None]:
    try:
        yield
    except psycopg2.errors.UniqueViolation:
        raise SlugTaken from None


def _check_removal(before: Poll, draft: Draft, confirmed: frozenset[int]) -> None:
    """Raise an error unless the choices that `draft` removes can be removed, with their ballots."""
    removed = [choice for choice in before.choices if choice.id in draft.removed]
    if removed and before.ballots and hidden_from(before, Role.OWNER):
        raise RemovalRevealsResults(frozenset(choice.id for choice in removed))
    votes = {choice.id: choice.votes for choice in removed if choice.votes}
    if votes and not method_of(before).HAS_ONE_MARK:
        raise ChoicesMarkedBesideOthers(votes)
    if votes.keys() - confirmed:
        raise ChoicesHaveVotes(votes)


def _check_sealed(before: Poll, draft: Draft) -> None:
    """Raise PollSealed if `draft` changes who sees the results of a sealed poll, or reopens it."""
    is_reopened = before.is_closed and (draft.closes_at is None or draft.closes_at > before.as_of)
    if is_reopened or before.settings.results_visibility != draft.settings.results_visibility:
        raise PollSealed(before.question.id, is_reopened=is_reopened)


@asynccontextmanager
async def locked(
    database: Database, person: Person, question_ids: Sequence[int]
) -> AsyncIterator[tuple[aiopg.sa.SAConnection, list[Poll]]]:
    """Begin a transaction, lock the polls in it, and yield its connection and the polls that `person` may edit."""
    async with transaction(database) as connection:
        await connection.execute(_LOCK_QUESTIONS, {"ids": list(question_ids)})
        # Read in a statement of its own after the lock: it sees what was committed while this waited.
        polls = await read_all(connection, question_ids)
        yield connection, [poll for poll in polls if person.may_edit(poll)]


async def _remove_choices(connection: aiopg.sa.SAConnection, before: Poll, choice_ids: frozenset[int]) -> None:
    removed = sorted(choice_ids & {choice.id for choice in before.choices})
    if not removed:
        return
    question_id = before.question.id
    deleted = await delete_ballots(connection, question_id, removed)
    # Before the choices, so that question.edited_at (see sql/README.md) isn't set if no ballots are left.
    await connection.execute(
        question.update().where(question.c.id == question_id).values(ballots=question.c.ballots - deleted)
    )
    await connection.execute(choice.delete().where(choice.c.id.in_(removed)))


async def delete_ballots(
    connection: aiopg.sa.SAConnection, question_id: int, marks: Sequence[int] | None = None
) -> int:
    """Delete a poll's ballots: all of them, or those that mark nothing but `marks`. Return how many."""
    count, after = 0, b""
    while True:
        result = await connection.execute(_DELETE_BALLOTS, {"id": question_id, "marks": marks, "after": after})
        batch = await result.first()
        count, after = count + int(batch.count), batch.last
        if batch.size < BATCH_SIZE:
            return count


async def _write_choices(
    connection: aiopg.sa.SAConnection, question_id: int, before: Poll | None, choices: Sequence[DraftChoice]
) -> None:
    """Insert and update choices in the order of `choices`. Existing choices keep their ids, and so their votes."""
    old_texts = {choice.id: choice.text for choice in before.choices} if before else {}
    kept = [choice.id for choice in choices if choice.id in old_texts]
    others = [choice_id for choice_id in old_texts if choice_id not in kept]
    await connection.execute(_LOCK_CHOICES, {"id": question_id})
    is_reordered = kept + others != list(old_texts) or len(kept) < len(choices)
    for position, draft_choice in enumerate(choices, start=1):
        if draft_choice.id not in old_texts:
            await connection.execute(
                choice.insert().values(question_id=question_id, choice_text=draft_choice.text, position=position)
            )
        elif is_reordered or old_texts[draft_choice.id] != draft_choice.text:
            values = {"choice_text": draft_choice.text} | ({"position": position} if is_reordered else {})
            await connection.execute(choice.update().where(choice.c.id == draft_choice.id).values(**values))


async def _read_locked(connection: aiopg.sa.SAConnection, question_id: int) -> Poll:
    """Return a poll that this transaction has locked or inserted."""
    poll = await read(connection, question_id)
    assert poll is not None  # nosec B101 # other transactions can't delete it
    return poll
