"""Comparison of a schema with sql/expected_schema.json, which `make schema` writes from the migrations.

What operators added is no difference.
"""

import json
from functools import cache
from typing import NamedTuple

from polls import paths
from polls.storage.checks.catalog import Schema


class Difference(NamedTuple):
    """A part of the schema that is missing (`found` is None) or defined otherwise than expected.

    Of the kind "required", it is a column that PostgreSQL requires in each row and that polls doesn't write.
    """

    kind: str
    name: str
    expected: str
    found: str | None

    @property
    def table(self) -> str:
        return self.name.partition(".")[0]

    @property
    def part(self) -> str:
        """The name within the table."""
        return self.name.partition(".")[2]

    @property
    def generated_as(self) -> str:
        """The expected expression of a generated column; empty for other columns."""
        default = expected_schema()["default"].get(self.name, "")
        return default if default.startswith("GENERATED ALWAYS AS (") else ""


@cache
def expected_schema() -> Schema:
    """Return the schema after the last migration of this version."""
    schema: Schema = json.loads((paths.SQL / "expected_schema.json").read_text("utf-8"))
    return schema


def expected_tables() -> list[str]:
    """Return the names of all tables."""
    return list(dict.fromkeys(name.partition(".")[0] for name in expected_schema()["column"]))


def differences(found: Schema) -> list[Difference]:
    """Return what of the expected schema is missing or different, in an order in which it can be made again."""
    expected = expected_schema()
    missing_columns = expected["column"].keys() - found.get("column", {}).keys()
    return [
        *(
            difference
            for difference in definitions_that_differ(expected, found)
            if difference.kind not in {"not null", "default"} or difference.name not in missing_columns
        ),
        *columns_that_refuse_rows(found),
    ]


def definitions_that_differ(expected: Schema, found: Schema) -> list[Difference]:
    """Return all that is expected and missing, or defined otherwise."""
    return [
        Difference(kind, name, definition, actual)
        for kind, definitions in expected.items()
        for name, definition in definitions.items()
        if (actual := found.get(kind, {}).get(name)) != definition
    ]


def columns_that_refuse_rows(found: Schema) -> list[Difference]:
    """Return the columns, added or changed by hand, without which PostgreSQL refuses a row."""
    return [
        Difference("required", name, "", definition)
        for name, definition in found.get("required", {}).items()
        if name not in expected_schema()["not null"]
    ]
