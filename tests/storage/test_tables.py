"""The tables in storage/tables.py have the columns that the migrations create."""

from collections.abc import Iterator

import psycopg2
import pytest
import sqlalchemy as sa

from polls.config.settings import Postgres
from polls.storage.postgres.connect import Connection, connect
from polls.storage.postgres.primary import dsn
from polls.storage.tables import metadata
from tests.conftest import empty_database

COLUMNS = """
    SELECT table_name, column_name, data_type, character_maximum_length
    FROM information_schema.columns
    WHERE table_schema = 'public' AND table_name <> 'migration'
    ORDER BY table_name, ordinal_position
"""
CONSTRAINTS = """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
    FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'migration'
    ORDER BY 1, 2
"""


@pytest.fixture(scope="module")
def from_metadata(postgres: Postgres) -> Iterator[Postgres]:
    """A database whose tables are created from SQLAlchemy's metadata instead of the migrations."""
    with empty_database(postgres, "metadata") as created:
        engine = sa.create_engine("postgresql+psycopg2://", creator=lambda: psycopg2.connect(dsn(created)))
        metadata.create_all(engine)
        engine.dispose()
        yield created


def select(postgres: Postgres, query: str) -> list[tuple[object, ...]]:
    with connect(postgres) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def test_metadata_and_migrations_create_the_same_columns(postgres: Postgres, from_metadata: Postgres) -> None:
    from_migrations = select(postgres, COLUMNS)

    assert from_migrations
    assert select(from_metadata, COLUMNS) == from_migrations


def test_keys_are_those_of_the_original_application(postgres: Postgres) -> None:
    constraints = {name: definition for _, name, definition in select(postgres, CONSTRAINTS)}

    assert constraints["question_id_pkey"] == "PRIMARY KEY (id)"
    assert constraints["choice_id_pkey"] == "PRIMARY KEY (id)"
    assert constraints["choice_question_id_fkey"] == (
        "FOREIGN KEY (question_id) REFERENCES question(id) ON DELETE CASCADE"
    )


def test_columns_are_those_of_the_original_application_and_later_ones(postgres: Postgres) -> None:
    columns = [column for column in select(postgres, COLUMNS) if column[0] in {"ballot", "choice", "question"}]

    assert columns == [
        ("ballot", "question_id", "integer", None),
        ("ballot", "voter", "bytea", None),
        ("ballot", "marks", "ARRAY", None),
        ("ballot", "cast_at", "timestamp with time zone", None),
        ("ballot", "changed_at", "timestamp with time zone", None),
        ("ballot", "points", "ARRAY", None),
        ("choice", "id", "integer", None),
        ("choice", "question_id", "integer", None),
        ("choice", "choice_text", "character varying", 200),
        ("choice", "votes", "bigint", None),
        ("choice", "position", "integer", None),
        ("choice", "points", "bigint", None),
        ("question", "id", "integer", None),
        ("question", "question_text", "character varying", 200),
        ("question", "pub_date", "timestamp with time zone", None),
        ("question", "closes_at", "timestamp with time zone", None),
        ("question", "ballots", "bigint", None),
        ("question", "revision", "bigint", None),
        ("question", "edition", "bigint", None),
        ("question", "voter_salt", "bytea", None),
        ("question", "edited_at", "timestamp with time zone", None),
        ("question", "magnitude", "smallint", None),
        ("question", "form_key", "bytea", None),
        ("question", "slug", "character varying", 40),
        ("question", "is_listed", "boolean", None),
        ("question", "hidden_at", "timestamp with time zone", None),
    ]


def test_a_question_needs_only_its_text_and_date(database: Connection) -> None:
    with database.cursor() as cursor:
        cursor.execute("INSERT INTO question (question_text, pub_date) VALUES ('Tea?', now())")

        assert cursor.rowcount == 1


def test_a_choice_starts_without_votes(database: Connection) -> None:
    with database.cursor() as cursor:
        cursor.execute("INSERT INTO question (question_text, pub_date) VALUES ('Tea?', now())")
        cursor.execute("INSERT INTO choice (question_id, choice_text) VALUES (1, 'Yes') RETURNING votes")

        assert cursor.fetchone() == (0,)


def test_votes_are_never_negative(database: Connection) -> None:
    with database.cursor() as cursor:
        cursor.execute("INSERT INTO question (question_text, pub_date) VALUES ('Tea?', now()) RETURNING id")
        with pytest.raises(psycopg2.errors.CheckViolation):
            cursor.execute("INSERT INTO choice (question_id, choice_text, votes) VALUES (1, 'Yes', -1)")


@pytest.mark.parametrize(
    "edit",
    [
        "pub_date = '20000-01-01'",
        "pub_date = '-infinity'",
        "pub_date = '4000-01-01 BC'",
        "closes_at = 'infinity'",
        "closes_at = '20000-01-01'",
        "voter_salt = ''",
        "voter_salt = decode(repeat('00', 65), 'hex')",
    ],
)
def test_dates_out_of_range_and_salts_of_the_wrong_length_are_refused(database: Connection, edit: str) -> None:
    with database.cursor() as cursor:
        cursor.execute("INSERT INTO question (question_text, pub_date) VALUES ('Tea?', now())")
        with pytest.raises(psycopg2.errors.CheckViolation):
            cursor.execute(f"UPDATE question SET {edit}")
