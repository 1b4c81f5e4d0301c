"""Sentences for operators about differences of the schema: what is wrong, why it matters, what to do."""

from collections.abc import Callable, Mapping

from polls.storage.checks.differences import Difference
from polls.storage.checks.expected import expected_schema
from polls.storage.checks.votes import stops_votes

_CONSEQUENCES = {
    "column": "polls fails where it uses the column",
    "not null": "rows may lack a value that polls needs",
    "default": "new rows are refused, or get a wrong value",
    "constraint": "wrong rows may be stored",
    "foreign key": "rows may be left of what was deleted",
    "index": "pages may be slow",
    "function": "edits or the search may fail, and pages may be stale",
    "trigger": "pages may be stale",
    "required": "polls can't insert rows into this table",
}


def describe(difference: Difference) -> str:
    """Return what is missing or different, why it matters, and what makes it as expected again."""
    consequence = "no vote can be stored" if stops_votes(difference) else _CONSEQUENCES[difference.kind]
    return f"{_problem(difference)}: {consequence}. {_REMEDIES[difference.kind](difference)}"


def _problem(difference: Difference) -> str:
    kind, _, expected, found = difference
    part = f"{difference.part} of the table {difference.table}"
    match kind:
        case "required":
            return f"the column {part} takes neither NULL nor a default, and polls doesn't write it"
        case "not null":
            return f"the column {part} allows NULL"
        case "default":
            return f"the column {part} " + (f"has {found} instead of {expected}" if found else f"lacks {expected}")
        case "function":
            return f"the function {difference.name} {'was replaced' if found else 'is missing'}"
        case "column" if found:
            return f"the column {part} is {found} instead of {expected}"
        case _:
            return f"the {kind} {part} {'was replaced' if found else 'is missing'}"


def _column(difference: Difference) -> str:
    if difference.found:
        return f"{_alter_column(difference)} TYPE {difference.expected}"
    default = expected_schema()["default"].get(difference.name, "")
    if default.startswith("GENERATED ALWAYS AS ("):
        return f"ALTER TABLE {difference.table} ADD COLUMN {difference.part} {difference.expected} {default}"
    return "Its values are lost: restore a backup into a new database with `polls restore`"


def _not_null(difference: Difference) -> str:
    return f"{_alter_column(difference)} SET NOT NULL"


def _default(difference: Difference) -> str:
    name, expected, found = difference.name, difference.expected, difference.found
    table, column = difference.table, difference.part
    if expected.startswith("GENERATED ALWAYS AS ("):
        definition = f"{column} {expected_schema()['column'][name]} {expected}"
        return f"ALTER TABLE {table} DROP COLUMN {column}; ALTER TABLE {table} ADD COLUMN {definition}"
    alter = _alter_column(difference)
    if not expected.endswith(" AS IDENTITY"):
        return f"{alter} SET {expected}"
    if found and found.endswith(" AS IDENTITY"):
        return f"{alter} SET {expected.removesuffix(' AS IDENTITY')}"
    drop = f"{alter} DROP DEFAULT; " if found else ""
    # The new sequence would begin at 1, with ids that exist. Nothing here comes from outside: it is our own data.
    go_on = f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'), max({column})) FROM {table}"  # noqa: S608
    return f"{drop}{alter} ADD {expected}; {go_on}"


def _constraint(difference: Difference) -> str:
    drop = f"DROP CONSTRAINT {difference.part}, " if difference.found else ""
    return f"ALTER TABLE {difference.table} {drop}ADD CONSTRAINT {difference.part} {difference.expected}"


def _index(difference: Difference) -> str:
    drop = f"DROP INDEX {difference.part}; " if difference.found else ""
    return drop + difference.expected.replace("INDEX", "INDEX CONCURRENTLY", 1)


def _function(_: Difference) -> str:
    return "Create it again as in sql/README.md, with CREATE OR REPLACE FUNCTION (`polls paths` prints where sql/ is)"


def _trigger(difference: Difference) -> str:
    return difference.expected.replace("CREATE", "CREATE OR REPLACE", 1)


def _required(difference: Difference) -> str:
    return f"{_alter_column(difference)} DROP NOT NULL"


def _alter_column(difference: Difference) -> str:
    return f"ALTER TABLE {difference.table} ALTER COLUMN {difference.part}"


_REMEDIES: Mapping[str, Callable[[Difference], str]] = {
    "column": _column,
    "not null": _not_null,
    "default": _default,
    "constraint": _constraint,
    "foreign key": _constraint,
    "index": _index,
    "function": _function,
    "trigger": _trigger,
    "required": _required,
}
