"""Checks that committed votes survive a crash and the loss of a disk: server settings, synchronous standbys."""

from polls.config.settings import Postgres
from polls.storage.checks.findings import CheckResults, fault, note, ok
from polls.storage.postgres.connect import Connection, query

_OFF = "SELECT name FROM pg_settings WHERE name = ANY (%s) AND setting = 'off' ORDER BY name"

_STANDBYS = """
    SELECT
        current_setting('synchronous_standby_names'),
        current_setting('synchronous_commit'),
        count(*),
        count(*) FILTER (WHERE sync_state IN ('sync', 'quorum')),
        count(*) FILTER (WHERE sync_state IS NULL)
    FROM pg_stat_replication
"""


def weak_settings(connection: Connection) -> list[str]:
    """Return a sentence for operators on each server setting with which a crash can lose committed votes."""
    off = query(connection, _OFF, ["fsync", "full_page_writes", "synchronous_commit"])
    return [f"{name} is off in PostgreSQL: a crash can lose counted votes. Set it to on" for (name,) in off]


def check_settings(connection: Connection, _: Postgres) -> CheckResults:
    """Check the server settings with which committed votes survive a crash."""
    weak = weak_settings(connection)
    yield from map(fault, weak)
    if not weak:
        yield ok("with fsync, full_page_writes and synchronous_commit on, counted votes survive a crash")


def check_standbys(connection: Connection, _: Postgres) -> CheckResults:
    """Check that commits wait for a synchronous standby, and that one is connected."""
    ((names, synchronous_commit, connected, synchronous, hidden),) = query(connection, _STANDBYS)
    if not names:
        yield note("synchronous_standby_names is empty: if the database's disk is lost, so are its votes")
    elif synchronous_commit in {"off", "local"}:
        yield fault(f"votes don't wait for {names}, since synchronous_commit is {synchronous_commit}. Set it to on")
    elif hidden and not synchronous:
        yield note(f"{connected} connected; GRANT pg_monitor to this role to show whether {names} is among them")
    elif not synchronous:
        yield fault(
            f"votes wait for {names}, and none of these is connected, so no vote is counted.",
            "Start one, or change synchronous_standby_names",
        )
    else:
        yield ok(f"votes wait for {names}; {synchronous} synchronous, {connected} connected")
