"""Check that the index of ballots fits into PostgreSQL's memory."""

from polls.config.settings import Postgres
from polls.storage.checks.findings import CheckResults, note, ok
from polls.storage.postgres.connect import Connection, query

_SIZES = """
    SELECT
        pg_size_pretty(size.of_index),
        current_setting('shared_buffers'),
        size.of_index > pg_size_bytes(current_setting('shared_buffers'))
    FROM (SELECT coalesce(pg_relation_size(to_regclass('ballot_pkey')), 0)) AS size (of_index)
"""


def check_memory(connection: Connection, _: Postgres) -> CheckResults:
    """Check that PostgreSQL can keep the index of ballots in memory: each vote writes to a page anywhere in it."""
    ((index, memory, is_too_large),) = query(connection, _SIZES)
    if is_too_large:
        yield note(
            f"the index of ballots has {index}, and shared_buffers is {memory}: votes in large polls take PostgreSQL "
            "longer. Set shared_buffers higher, to a quarter of the machine's memory for example"
        )
    else:
        yield ok(f"the index of ballots has {index}, and fits into shared_buffers, {memory}")
