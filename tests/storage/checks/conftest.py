"""A migrated database that a test may damage, and the faults that are found in it."""

import re
from collections.abc import Callable, Iterator

import pytest

from polls import paths
from polls.config.settings import Postgres
from polls.storage.checks.schema import schema_damage
from polls.storage.postgres import migrations
from polls.storage.postgres.connect import Connection, connect
from tests.conftest import empty_database

Damage = Callable[[str], list[str]]


@pytest.fixture
def migrated(postgres: Postgres) -> Iterator[Connection]:
    """A connection in autocommit to a migrated database without polls."""
    with empty_database(postgres, "migrated") as empty, connect(empty) as connection:
        migrations.migrate(empty, connection)
        connection.autocommit = True
        yield connection


@pytest.fixture
def damage(migrated: Connection) -> Damage:
    """Run a statement in the migrated database, and return the damage found: `damage("DROP INDEX ...")`."""

    def damage(statement: str) -> list[str]:
        with migrated.cursor() as cursor:
            cursor.execute(statement)
        return schema_damage(migrated)

    return damage


def repair(connection: Connection, sentence: str) -> None:
    """Do what a sentence about damage says."""
    remedy = sentence.partition(". ")[2]
    if function := re.match(r"the function (\w+)\(", sentence):
        assert remedy.startswith("Create it again as in sql/README.md, with CREATE OR REPLACE FUNCTION")
        readme = (paths.SQL / "README.md").read_text("utf-8")
        (statement,) = re.findall(rf"^CREATE (FUNCTION {function[1]}\(.*?^\$\$;)$", readme, re.DOTALL | re.MULTILINE)
        remedy = f"CREATE OR REPLACE {statement}"
    with connection.cursor() as cursor:
        for statement in [remedy] if function else remedy.split("; "):
            cursor.execute(statement)
