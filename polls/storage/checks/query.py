"""Queries of the checks."""

from collections.abc import Sequence
from typing import Any

from polls.storage.postgres.connect import Connection


def query(connection: Connection, statement: str, *arrays: Sequence[str]) -> list[tuple[Any, ...]]:
    """Return the rows of a statement, run in a transaction of its own: an error doesn't affect the next check."""
    with connection, connection.cursor() as cursor:
        cursor.execute(statement, [list(array) for array in arrays] or None)
        return cursor.fetchall() if cursor.description else []
