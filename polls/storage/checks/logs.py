"""Check that PostgreSQL logs no values of statements: ballots, password hashes, keys of sessions."""

from polls.config.settings import Postgres
from polls.storage.checks.findings import CheckResults, fault, note, ok
from polls.storage.postgres.connect import Connection, query

_FAILED_STATEMENTS = {"log_min_error_statement": "panic", "log_error_verbosity": "terse"}

# Operators may want to log statements that succeed.
_ALL_STATEMENTS = """
    SELECT name, setting
    FROM pg_settings
    WHERE name = 'log_statement' AND setting IN ('mod', 'all')
        OR name IN ('log_min_duration_statement', 'log_min_duration_sample') AND setting <> '-1'
        OR name = 'log_transaction_sample_rate' AND setting <> '0'
    ORDER BY name
"""


def check_log(connection: Connection, _: Postgres) -> CheckResults:
    """Check that neither failed statements nor all of them are logged with their values."""
    ((role, *found),) = query(
        connection,
        "SELECT quote_ident(current_user), current_setting('log_min_error_statement'), "
        "current_setting('log_error_verbosity')",
    )
    commands = [
        f"ALTER ROLE {role} SET {name} = {wanted}"
        for (name, wanted), setting in zip(_FAILED_STATEMENTS.items(), found, strict=True)
        if setting != wanted
    ]
    if commands:
        yield fault(
            "PostgreSQL logs statements and rows that fail, with password hashes, keys of sessions or ballots in them.",
            f"As a superuser: {'; '.join(commands)}; then restart polls",
        )
    else:
        yield ok("PostgreSQL logs failed statements without their values")
    for name, setting in query(connection, _ALL_STATEMENTS):
        yield note(f"{name} is {setting}: PostgreSQL's log may contain ballots, password hashes and keys of sessions")
