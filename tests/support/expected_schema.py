"""Write sql/expected_schema.json from a freshly migrated database: `python -m tests.support.expected_schema`."""

import json
import tempfile
from pathlib import Path

from polls import paths
from polls.config.settings import Postgres
from polls.storage.checks.catalog import read_schema
from polls.storage.postgres import embedded, migrations
from polls.storage.postgres.connect import Connection, connect

FILE = paths.SQL / "expected_schema.json"

# What depends on nothing below it: differences are reported, and repaired, in this order.
KINDS = ("column", "not null", "default", "constraint", "foreign key", "index", "function", "trigger")

_TABLES = """
    SELECT relname
    FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'
"""
_FUNCTIONS = """
    SELECT proname || '(' || oidvectortypes(proargtypes) || ')'
    FROM pg_proc
    WHERE pronamespace = current_schema()::regnamespace
"""


def text_of_schema(connection: Connection) -> str:
    """Return the text of the file for the schema of this database, which must contain nothing else."""
    with connection, connection.cursor() as cursor:
        cursor.execute(_TABLES)
        tables = [name for (name,) in cursor.fetchall()]
        cursor.execute(_FUNCTIONS)
        functions = [name for (name,) in cursor.fetchall()]
    found = read_schema(connection, tables, functions)
    schema = {kind: dict(sorted(found[kind].items())) for kind in KINDS}
    return json.dumps(schema, indent=2) + "\n"


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        embedded.running(Postgres(embedded=Path(folder) / "postgres")) as postgres,
        connect(postgres) as connection,
    ):
        migrations.migrate(postgres, connection)
        FILE.write_text(text_of_schema(connection), "utf-8")


if __name__ == "__main__":
    main()
