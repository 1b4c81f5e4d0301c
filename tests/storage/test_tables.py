"""The tables as SQLAlchemy describes them are the tables that the migrations make, to the last constraint."""

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
    SELECT table_name, column_name, data_type, character_maximum_length, is_nullable, column_default,
           is_identity, identity_generation
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
INDEXES = """
    SELECT indexname, indexdef FROM pg_indexes
    WHERE schemaname = 'public' AND tablename <> 'migration'
    ORDER BY 1
"""


@pytest.fixture(scope="module")
def described(postgres: Postgres) -> Iterator[Postgres]:
    """A database made from the description instead of the migrations."""
    with empty_database(postgres, "described") as described:
        engine = sa.create_engine("postgresql+psycopg2://", creator=lambda: psycopg2.connect(dsn(described)))
        metadata.create_all(engine)
        engine.dispose()
        yield described


def ask(postgres: Postgres, question: str) -> list[tuple[object, ...]]:
    with connect(postgres) as connection, connection.cursor() as cursor:
        cursor.execute(question)
        return cursor.fetchall()


@pytest.mark.parametrize("question", [COLUMNS, CONSTRAINTS, INDEXES], ids=["columns", "constraints", "indexes"])
def test_the_description_makes_what_the_migrations_make(postgres: Postgres, described: Postgres, question: str) -> None:
    made = ask(postgres, question)

    assert made
    assert ask(described, question) == made


def test_keys_are_the_seeds(postgres: Postgres) -> None:
    constraints = {name: definition for _, name, definition in ask(postgres, CONSTRAINTS)}

    assert constraints["question_id_pkey"] == "PRIMARY KEY (id)"
    assert constraints["choice_id_pkey"] == "PRIMARY KEY (id)"
    assert constraints["choice_question_id_fkey"] == (
        "FOREIGN KEY (question_id) REFERENCES question(id) ON DELETE CASCADE"
    )


def test_columns_are_the_seeds_and_those_that_order_and_count_need(postgres: Postgres) -> None:
    columns = [column[:4] for column in ask(postgres, COLUMNS) if column[0] in {"ballot", "choice", "question"}]

    assert columns == [
        ("ballot", "question_id", "integer", None),
        ("ballot", "voter", "bytea", None),
        ("ballot", "marks", "ARRAY", None),
        ("ballot", "cast_at", "timestamp with time zone", None),
        ("ballot", "changed_at", "timestamp with time zone", None),
        ("choice", "id", "integer", None),
        ("choice", "question_id", "integer", None),
        ("choice", "choice_text", "character varying", 200),
        ("choice", "votes", "bigint", None),
        ("choice", "position", "integer", None),
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
    ]


def test_a_question_needs_no_more_than_its_text_and_date(database: Connection) -> None:
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
def test_what_no_page_could_show_and_no_ballot_be_hidden_with_is_refused(database: Connection, edit: str) -> None:
    with database.cursor() as cursor:
        cursor.execute("INSERT INTO question (question_text, pub_date) VALUES ('Tea?', now())")
        with pytest.raises(psycopg2.errors.CheckViolation):
            cursor.execute(f"UPDATE question SET {edit}")
