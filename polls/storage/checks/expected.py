"""The schema that the migrations make, as data: sql/expected_schema.json, written by `make schema`."""

import json
from functools import cache

from polls import paths
from polls.storage.checks.catalog import Schema


@cache
def expected_schema() -> Schema:
    """Return the schema after the last migration of this version."""
    schema: dict[str, dict[str, str]] = json.loads((paths.SQL / "expected_schema.json").read_text("utf-8"))
    return schema


def expected_tables() -> list[str]:
    """Return the names of all tables."""
    return list(dict.fromkeys(name.partition(".")[0] for name in expected_schema()["column"]))
