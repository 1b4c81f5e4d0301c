"""The part of the schema that storing a ballot needs: without it, every vote is answered with 503."""

import re

from polls.storage.checks.catalog import COLUMNS, REQUIRED, UNIQUE, Schema, catalog_query
from polls.storage.checks.differences import Difference, columns_that_refuse_rows, definitions_that_differ
from polls.storage.checks.expected import expected_schema

VOTE_TABLES = ("question", "choice", "ballot")

# Cheap enough for each request to /readyz: no definition is decompiled, and no table is locked.
VOTE_CATALOG = catalog_query(COLUMNS, REQUIRED, UNIQUE)

_CONFLICT_KEY = "question_id, voter"  # of ON CONFLICT in storage/ballot_sql.py
_LENGTH = re.compile(r"\([\d,]+\)")
_SAME_USE = {"smallint": "integer", "bigint": "integer", "character varying": "text"}


def can_store_votes(found: Schema) -> bool:
    """Return whether ballots can be stored; `found` are the rows of VOTE_CATALOG for VOTE_TABLES."""
    expected = expected_schema()
    has_key = any(
        name.startswith("ballot.") and columns == _CONFLICT_KEY for name, columns in found.get("unique", {}).items()
    )
    found_otherwise = (
        *definitions_that_differ({"column": expected["column"]}, found),
        *columns_that_refuse_rows(expected, found),
    )
    return has_key and not any(map(stops_votes, found_otherwise))


def stops_votes(difference: Difference) -> bool:
    """Return whether no ballot can be stored because of this difference."""
    match difference.kind:
        case "column":
            return difference.table in VOTE_TABLES and not _is_generated(difference.name) and _is_unusable(difference)
        case "constraint":
            return difference.name == "ballot.ballot_pkey"
        case "required":
            return difference.table == "ballot"
    return False


def _is_generated(column: str) -> bool:
    return expected_schema()["default"].get(column, "").startswith("GENERATED ALWAYS AS (")


def _is_unusable(column: Difference) -> bool:
    return column.found is None or _use_of(column.found) != _use_of(column.expected)


def _use_of(column_type: str) -> str:
    """Return one name for types that can be exchanged: a wider integer, or a text without a limit, takes votes too."""
    element, bracket, _ = _LENGTH.sub("", column_type).partition("[")
    return _SAME_USE.get(element, element) + bracket
