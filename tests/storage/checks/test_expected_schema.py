"""sql/expected_schema.json is the schema that the migrations make, on every supported version of PostgreSQL."""

from dataclasses import replace
from pathlib import Path

import pytest

from polls.config.settings import Postgres
from polls.storage.checks.schema import schema_damage
from polls.storage.postgres import migrations
from polls.storage.postgres.connect import Connection, connect
from tests.conftest import empty_database
from tests.support.expected_schema import FILE, text_of_schema
from tests.support.servers import installed_versions, running


def test_the_file_is_what_the_migrations_make(migrated: Connection) -> None:
    assert FILE.read_text("utf-8") == text_of_schema(migrated), "run `make schema`"


@pytest.mark.parametrize("version", sorted(installed_versions()))
def test_the_file_is_the_same_on_every_version(tmp_path: Path, version: int) -> None:
    with running(tmp_path, version=lambda _: version) as server:
        settings = replace(Postgres(**server.address), database="polls")  # type: ignore[arg-type]
        with connect(settings) as connection:
            migrations.migrate(settings, connection)

            assert FILE.read_text("utf-8") == text_of_schema(connection)


def test_another_schema_and_another_time_zone_are_no_damage(postgres: Postgres) -> None:
    with empty_database(postgres, "town") as town:
        with connect(town) as connection, connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE SCHEMA town; ALTER DATABASE {town.database} SET search_path = town, public")
            cursor.execute(f"ALTER DATABASE {town.database} SET TimeZone = 'Asia/Shanghai'")
        with connect(town) as connection:
            migrations.migrate(town, connection)

            assert schema_damage(connection) == []
            with connection.cursor() as cursor:
                cursor.execute("SELECT to_regclass('town.ballot') IS NOT NULL AND to_regclass('public.ballot') IS NULL")
                assert cursor.fetchone() == (True,)
