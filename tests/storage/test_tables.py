"""The tables as SQLAlchemy describes them are the tables that the migrations make."""

from typing import Any

import psycopg2
import pytest
import sqlalchemy as sa

from polls.config import Postgres
from polls.storage.engine import Connection, dsn
from polls.storage.tables import metadata


@pytest.fixture(scope="module")
def inspector(postgres: Postgres) -> Any:
    engine = sa.create_engine("postgresql+psycopg2://", creator=lambda: psycopg2.connect(dsn(postgres)))
    yield sa.inspect(engine)
    engine.dispose()


def test_no_table_is_described_that_is_not_made_and_the_other_way_round(inspector: Any) -> None:
    assert set(inspector.get_table_names()) == set(metadata.tables)


@pytest.mark.parametrize("name", metadata.tables)
def test_columns_are_as_described(inspector: Any, name: str) -> None:
    described = [
        (column.name, str(column.type.compile(inspector.dialect)), column.nullable, column.identity is not None)
        for column in metadata.tables[name].columns
    ]

    assert [
        (column["name"], str(column["type"].compile(inspector.dialect)), column["nullable"], "identity" in column)
        for column in inspector.get_columns(name)
    ] == described


@pytest.mark.parametrize("name", metadata.tables)
def test_defaults_are_as_described(inspector: Any, name: str) -> None:
    described = {
        column.name: str(getattr(column.server_default.arg, "text", column.server_default.arg))
        for column in metadata.tables[name].columns
        if column.server_default is not None and column.identity is None
    }

    assert {
        column["name"]: column["default"] for column in inspector.get_columns(name) if column["default"]
    } == described


@pytest.mark.parametrize("name", metadata.tables)
def test_constraints_and_indexes_are_as_described(inspector: Any, name: str) -> None:
    table = metadata.tables[name]
    described = {constraint.name for constraint in table.constraints} | {index.name for index in table.indexes}

    assert described == (
        {inspector.get_pk_constraint(name)["name"]}
        | {key["name"] for key in inspector.get_foreign_keys(name)}
        | {check["name"] for check in inspector.get_check_constraints(name)}
        | {index["name"] for index in inspector.get_indexes(name)}
    )


def test_keys_are_the_seeds(inspector: Any) -> None:
    assert inspector.get_pk_constraint("question")["name"] == "question_id_pkey"
    assert inspector.get_pk_constraint("choice")["name"] == "choice_id_pkey"
    (key,) = inspector.get_foreign_keys("choice")
    assert (key["name"], key["constrained_columns"], key["referred_table"], key["options"]) == (
        "choice_question_id_fkey",
        ["question_id"],
        "question",
        {"ondelete": "CASCADE"},
    )


def test_a_question_needs_no_more_than_its_text_and_date(database: Connection) -> None:
    with database.cursor() as cursor:
        cursor.execute("INSERT INTO question (question_text, pub_date) VALUES ('Tea?', now())")

        assert cursor.rowcount == 1


def test_votes_are_never_negative(database: Connection) -> None:
    with database.cursor() as cursor:
        cursor.execute("INSERT INTO question (question_text, pub_date) VALUES ('Tea?', now()) RETURNING id")
        with pytest.raises(psycopg2.errors.CheckViolation):
            cursor.execute("INSERT INTO choice (question_id, choice_text, votes) VALUES (1, 'Yes', -1)")
