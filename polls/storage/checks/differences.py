"""Comparison of a schema with the expected one. What operators added is no difference."""

from typing import NamedTuple

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


def differences(expected: Schema, found: Schema) -> list[Difference]:
    """Return what of the expected schema is missing or different, in an order in which it can be made again."""
    missing_columns = expected["column"].keys() - found.get("column", {}).keys()
    return [
        *(
            difference
            for difference in definitions_that_differ(expected, found)
            if difference.kind not in {"not null", "default"} or difference.name not in missing_columns
        ),
        *columns_that_refuse_rows(expected, found),
    ]


def definitions_that_differ(expected: Schema, found: Schema) -> list[Difference]:
    """Return all that is expected and missing, or defined otherwise."""
    return [
        Difference(kind, name, definition, actual)
        for kind, definitions in expected.items()
        for name, definition in definitions.items()
        if (actual := found.get(kind, {}).get(name)) != definition
    ]


def columns_that_refuse_rows(expected: Schema, found: Schema) -> list[Difference]:
    """Return the columns, added or changed by hand, without which PostgreSQL refuses a row."""
    return [
        Difference("required", name, "", definition)
        for name, definition in found.get("required", {}).items()
        if name not in expected["not null"]
    ]
