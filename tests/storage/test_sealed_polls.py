"""The promise of a sealed poll: with ballots, nobody can change who sees the results, or go on after they were seen."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import psycopg2
import pytest

from polls.config.settings import Postgres
from polls.domain.errors import PollSealed
from polls.domain.permissions import COMMAND_LINE
from polls.domain.settings import DEFAULT_SETTINGS, PollSettings, Results
from polls.storage import bulk_editing, editing, questions
from polls.storage.postgres.connect import Connection
from polls.storage.postgres.pool import Database, open_database
from tests.conftest import CreatePoll
from tests.storage.test_editing import draft_of

SEALED = PollSettings(results=Results.AFTER_CLOSE, results_from=20, is_sealed=True)
OPEN = replace(SEALED, is_sealed=False)


@pytest.fixture
async def pool(postgres: Postgres, database: Connection) -> AsyncIterator[Database]:  # noqa: ARG001 - it is emptied
    pool = await open_database(postgres)
    yield pool
    await pool.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE poll_settings SET is_sealed = false",
        "UPDATE poll_settings SET results = 'owner'",
        "UPDATE poll_settings SET results_from = 10",
        "DELETE FROM poll_settings",
        "UPDATE question SET closes_at = NULL",
    ],
)
def test_with_ballots_no_statement_breaks_the_seal(
    database: Connection, create_poll: CreatePoll, statement: str
) -> None:
    create_poll("Tea?", "Yes", "No", votes=(1, 0), closed=timedelta(), settings=SEALED)

    with database.cursor() as cursor, pytest.raises(psycopg2.errors.CheckViolation, match="sealed"):
        cursor.execute(statement)


@pytest.mark.parametrize(("before", "votes"), [(SEALED, 0), (OPEN, 1), (DEFAULT_SETTINGS, 1)])
def test_otherwise_visibility_may_change(
    database: Connection, create_poll: CreatePoll, before: PollSettings, votes: int
) -> None:
    create_poll("Tea?", "Yes", "No", votes=(votes, 0), closed=timedelta(), settings=before)

    with database.cursor() as cursor:
        cursor.execute("UPDATE poll_settings SET is_sealed = false, results = 'owner', results_from = 1")
        cursor.execute("UPDATE question SET closes_at = NULL")


def test_what_is_always_seen_cannot_be_sealed(database: Connection, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes", "No", settings=SEALED)

    with database.cursor() as cursor, pytest.raises(psycopg2.errors.CheckViolation):
        cursor.execute("UPDATE poll_settings SET results = 'after_vote'")


async def test_editing_says_what_is_sealed(pool: Database, create_poll: CreatePoll) -> None:
    poll = create_poll("Tea?", "Yes", "No", votes=(1, 0), closed=timedelta(), settings=SEALED)

    with pytest.raises(PollSealed) as unsealed:
        await editing.change(pool, COMMAND_LINE, 1, draft_of(poll, settings=OPEN))
    with pytest.raises(PollSealed) as reopened:
        await editing.change(pool, COMMAND_LINE, 1, draft_of(poll, closes_at=None))

    assert (unsealed.value.is_reopened, reopened.value.is_reopened) == (False, True)
    assert await bulk_editing.reopen(pool, COMMAND_LINE, [1]) == 0


async def test_clearing_the_ballots_opens_the_seal_and_changes_the_key(pool: Database, create_poll: CreatePoll) -> None:
    poll = create_poll("Tea?", "Yes", "No", votes=(1, 0), settings=SEALED)
    before = await questions.find(pool, 1)

    await bulk_editing.clear(pool, COMMAND_LINE, [1])

    after = await questions.find(pool, 1)
    assert before
    assert after
    assert len(before.signing_key) == len(after.signing_key) == 16
    assert before.signing_key != after.signing_key
    await editing.change(pool, COMMAND_LINE, 1, draft_of(poll, settings=OPEN, edition=after.edition))
