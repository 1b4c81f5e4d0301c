"""`/readyz` and a schema that was changed by hand: not ready exactly if no vote can be stored."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from polls.app import create_app
from polls.config.settings import Config, Postgres
from polls.storage.postgres import migrations
from polls.storage.postgres.connect import Connection, connect
from tests.conftest import empty_database

POLL = """
    INSERT INTO question (question_text, pub_date) VALUES ('Tea?', now() - interval '1 hour');
    INSERT INTO choice (question_id, choice_text) VALUES (1, 'Yes')
"""

STOPPING = {
    "primary key": "ALTER TABLE ballot DROP CONSTRAINT ballot_pkey",
    "another primary key": (
        "ALTER TABLE ballot DROP CONSTRAINT ballot_pkey, ADD CONSTRAINT ballot_pkey PRIMARY KEY (voter)"
    ),
    "deferrable primary key": (
        "ALTER TABLE ballot DROP CONSTRAINT ballot_pkey, "
        "ADD CONSTRAINT ballot_pkey PRIMARY KEY (question_id, voter) DEFERRABLE"
    ),
    "table": "DROP TABLE ballot",
    "column of ballot": "ALTER TABLE ballot DROP COLUMN changed_at",
    "column of choice": "ALTER TABLE choice RENAME COLUMN votes TO counted",
    "column of question": "ALTER TABLE question RENAME COLUMN revision TO version",
    "column of another type": "ALTER TABLE ballot ALTER COLUMN voter TYPE text USING encode(voter, 'hex')",
    "column that refuses rows": "ALTER TABLE ballot ADD COLUMN note text NOT NULL",
}

HARMLESS = {
    "another key for the same rows": (
        "ALTER TABLE ballot DROP CONSTRAINT ballot_pkey, ADD CONSTRAINT another PRIMARY KEY (voter, question_id)"
    ),
    "wider column": "ALTER TABLE ballot ALTER COLUMN question_id TYPE bigint, ALTER COLUMN marks TYPE bigint[]",
    "default": "ALTER TABLE choice ALTER COLUMN votes DROP DEFAULT",
    "not null": "ALTER TABLE ballot ALTER COLUMN marks DROP NOT NULL",
    "check": "ALTER TABLE choice DROP CONSTRAINT choice_votes_check",
    "foreign key": "ALTER TABLE ballot DROP CONSTRAINT ballot_question_id_fkey",
    "key of question": "ALTER TABLE question DROP CONSTRAINT question_id_pkey CASCADE",
    "unique": "ALTER TABLE account DROP CONSTRAINT account_username_key",
    "index": "DROP INDEX choice_question_id_idx",
    "generated column": "ALTER TABLE question DROP COLUMN magnitude",
    "function": "DROP FUNCTION announce_question CASCADE",
    "replaced function": (
        "CREATE OR REPLACE FUNCTION announce_question() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
    ),
    "trigger": "DROP TRIGGER question_changed ON question",
    "disabled triggers": "ALTER TABLE question DISABLE TRIGGER ALL",
    "another table": "DROP TABLE history",
    "operators' own": "ALTER TABLE ballot ADD COLUMN note text NOT NULL DEFAULT ''; CREATE INDEX ON ballot (cast_at)",
}


@pytest.fixture
def migrated(postgres: Postgres) -> Iterator[tuple[Postgres, Connection]]:
    """A migrated database of its own with a poll, and a connection in autocommit to it."""
    with empty_database(postgres, "changed") as changed, connect(changed) as connection:
        migrations.migrate(changed, connection)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(POLL)
        yield replace(changed, minsize=1, maxsize=2), connection


@pytest.mark.parametrize(
    ("change", "can_vote"),
    [
        *(pytest.param(change, False, id=name) for name, change in STOPPING.items()),
        *(pytest.param(change, True, id=name) for name, change in HARMLESS.items()),
    ],
)
async def test_polls_is_ready_exactly_if_votes_can_be_stored(
    migrated: tuple[Postgres, Connection], aiohttp_client: Any, change: str, can_vote: bool
) -> None:
    postgres, connection = migrated
    client = await aiohttp_client(create_app(Config(postgres=postgres)))
    with connection.cursor() as cursor:
        cursor.execute(change)

    vote = await client.post("/poll/1/vote", data={"choice": "1"}, allow_redirects=False)
    readiness = await client.get("/readyz")

    assert vote.status == (303 if can_vote else 503)
    assert readiness.status == (200 if can_vote else 503)
    assert (await readiness.json())["schema"] == ("current" if can_vote else "not current")
    await client.close()
