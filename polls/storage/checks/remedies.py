"""Sentences for operators about differences of the schema: what is wrong, why it matters, what to do."""

from polls.storage.checks.differences import Difference, expected_schema
from polls.storage.checks.readiness import stops_votes

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
    return f"{_problem(difference)}: {consequence}. {_remedy(difference)}"


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


def _remedy(difference: Difference) -> str:
    kind, _, expected, found = difference
    table, part = difference.table, difference.part
    alter = f"ALTER TABLE {table} ALTER COLUMN {part}"
    match kind:
        case "column" if found:
            return f"{alter} TYPE {expected}"
        case "column":
            if difference.generated_as:
                return f"ALTER TABLE {table} ADD COLUMN {part} {expected} {difference.generated_as}"
            return "Its values are lost: restore a backup into a new database with `polls restore`"
        case "not null":
            return f"{alter} SET NOT NULL"
        case "required":
            return f"{alter} DROP NOT NULL"
        case "default":
            return _default(difference, alter)
        case "index":
            drop = f"DROP INDEX {part}; " if found else ""
            return drop + expected.replace("INDEX", "INDEX CONCURRENTLY", 1)
        case "function":
            return (
                "Create it again as in sql/README.md, with CREATE OR REPLACE FUNCTION "
                "(`polls paths` prints where sql/ is)"
            )
        case "trigger":
            return _trigger(difference)
        case _:
            drop = f"DROP CONSTRAINT {part}, " if found else ""
            return f"ALTER TABLE {table} {drop}ADD CONSTRAINT {part} {expected}"


def _trigger(difference: Difference) -> str:
    _, _, expected, found = difference
    if not expected.startswith("CREATE CONSTRAINT TRIGGER"):
        return expected.replace("CREATE", "CREATE OR REPLACE", 1)
    # PostgreSQL can't replace these.
    drop = f"DROP TRIGGER {difference.part} ON {difference.table}; " if found else ""
    return drop + expected


def _default(difference: Difference, alter: str) -> str:
    _, name, expected, found = difference
    table, column = difference.table, difference.part
    if difference.generated_as:
        definition = f"{column} {expected_schema()['column'][name]} {expected}"
        return f"ALTER TABLE {table} DROP COLUMN {column}; ALTER TABLE {table} ADD COLUMN {definition}"
    if not expected.endswith(" AS IDENTITY"):
        return f"{alter} SET {expected}"
    if found and found.endswith(" AS IDENTITY"):
        return f"{alter} SET {expected.removesuffix(' AS IDENTITY')}"
    drop = f"{alter} DROP DEFAULT; " if found else ""
    # The new sequence would begin at 1, with ids that exist.
    set_sequence = f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'), max({column})) FROM {table}"  # nosec B608 # of our own data
    return f"{drop}{alter} ADD {expected}; {set_sequence}"
