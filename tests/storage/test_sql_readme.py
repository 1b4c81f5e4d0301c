"""sql/README.md describes the schema that the migrations create."""

import re
from collections.abc import Iterator

import psycopg2
import pytest
import sqlalchemy as sa

from polls import paths
from polls.config.settings import Postgres
from polls.storage.postgres.connect import connect
from polls.storage.postgres.primary import dsn
from polls.storage.tables import metadata
from tests.conftest import empty_database

README = (paths.SQL / "README.md").read_text("utf-8")

FUNCTIONS = """
    SELECT proname, pg_get_functiondef(oid)
    FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace
"""
TRIGGERS = """
    SELECT tgname, pg_get_triggerdef(oid)
    FROM pg_trigger
    WHERE NOT tgisinternal
"""
COLUMNS = """
    SELECT table_name, array_agg(column_name::text ORDER BY ordinal_position)
    FROM information_schema.columns
    WHERE table_schema = 'public'
    GROUP BY table_name
"""


@pytest.fixture(scope="module")
def described(postgres: Postgres) -> Iterator[Postgres]:
    """A database with the functions and triggers of the README instead of the migrations'."""
    with empty_database(postgres, "readme") as described:
        engine = sa.create_engine("postgresql+psycopg2://", creator=lambda: psycopg2.connect(dsn(described)))
        metadata.create_all(engine)
        engine.dispose()
        statements = re.findall(r"^```sql\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
        with connect(described) as connection, connection, connection.cursor() as cursor:
            cursor.execute("SET check_function_bodies = off")  # they stand in the order of reading
            for statement in sorted(statements, key=lambda statement: "CREATE FUNCTION" not in statement):
                cursor.execute(statement)
        yield described


def select(postgres: Postgres, query: str) -> dict[str, object]:
    with connect(postgres) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return dict(cursor.fetchall())


def without_extra_space(definitions: dict[str, object]) -> dict[str, str]:
    return {name: " ".join(str(definition).split()) for name, definition in definitions.items()}


@pytest.mark.parametrize("query", [FUNCTIONS, TRIGGERS], ids=["functions", "triggers"])
def test_functions_and_triggers_are_those_of_the_migrations(
    postgres: Postgres, described: Postgres, query: str
) -> None:
    migrated = without_extra_space(select(postgres, query))

    assert migrated
    assert without_extra_space(select(described, query)) == migrated


def test_each_function_stands_under_its_name_with_its_triggers(postgres: Postgres) -> None:
    sections = dict(re.findall(r"^### `(\w+)\(\)`\n(.*?)(?=^##)", README, re.DOTALL | re.MULTILINE))
    called = {name: set() for name in select(postgres, FUNCTIONS)}
    for trigger, definition in select(postgres, TRIGGERS).items():
        called[re.findall(r"EXECUTE FUNCTION (\w+)", str(definition))[0]].add(trigger)

    assert {name: re.findall(r"^CREATE FUNCTION (\w+)", text, re.MULTILINE) for name, text in sections.items()} == {
        name: [name] for name in called
    }
    for name, triggers in called.items():
        named = re.match(r"\s*Triggers? (.*?)[.,]", sections[name].replace("\n", " "))
        words = set(re.findall(r"`(\w+)`", named[1])) if named else set()
        assert triggers == words - metadata.tables.keys(), name


def test_all_tables_and_columns_are_described_in_their_order(postgres: Postgres) -> None:
    sections = re.findall(r"^### `(\w+)`\n(.*?)(?=^##)", README, re.DOTALL | re.MULTILINE)

    assert {table: re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) for table, text in sections} == select(
        postgres, COLUMNS
    )
