"""Check of Patroni, if it runs the server: no vote is lost in a failover, and polls follows it in time."""

import json
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection, HTTPException
from typing import Any

from polls.config.settings import Postgres
from polls.storage.checks.findings import CheckResults, note, ok
from polls.storage.postgres.connect import Connection, query

_PORT = 8008  # of Patroni's REST API, in config/patroni.yml
_TIMEOUT = 2  # seconds
_MAX_TTL = 30  # seconds: Patroni's default
_MAX_WAL_SENDER_TIMEOUT = 5  # seconds: the longest votes.timeout

# Patroni's own sessions say so, and every role may read it.
_STATE = """
    SELECT
        EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE 'Patroni%'),
        (SELECT count(*) FROM pg_stat_replication WHERE application_name NOT IN ('pg_basebackup', 'pg_receivewal')),
        (SELECT setting::integer / 1000 FROM pg_settings WHERE name = 'wal_sender_timeout')
"""


def check_patroni(connection: Connection, postgres: Postgres) -> CheckResults:
    """Check Patroni's settings, and that all its hosts are named. Yields nothing if Patroni doesn't run the server."""
    ((is_patroni, followers, wal_sender_timeout),) = query(connection, _STATE)
    if not is_patroni:
        return
    notes = list(_notes(connection.info.host, len(postgres.hosts), followers, wal_sender_timeout))
    yield from map(note, notes)
    if not notes:
        yield ok(f"it promotes synchronous standbys only; all {followers + 1} hosts are named in postgres.host")


def _notes(host: str, named: int, followers: int, wal_sender_timeout: int) -> Iterator[str]:
    if named <= followers:
        yield (
            f"postgres.host names {named} of {followers + 1} hosts. Name all: "
            "votes stop when Patroni promotes one that polls can't find"
        )
    if not 0 < wal_sender_timeout <= _MAX_WAL_SENDER_TIMEOUT:
        yield (
            f"wal_sender_timeout is {wal_sender_timeout} s (0: none): votes wait as long for a lost standby, "
            "and get 503. Set it to 3s by `patronictl edit-config`"
        )
    settings = _settings(host)
    if settings is None:
        yield f"http://{host}:{_PORT}/config doesn't answer, so Patroni's settings aren't checked"
        return
    if settings.get("synchronous_mode") is not True or not settings.get("synchronous_mode_strict"):
        yield (
            "a failover can lose counted votes. Set synchronous_mode and synchronous_mode_strict to true by "
            "`patronictl edit-config`"
        )
    ttl = settings.get("ttl", _MAX_TTL)
    if ttl > _MAX_TTL:
        yield (
            f"ttl is {ttl} s: votes get 503 as long when the leader's host is lost, since each waits 5 s at most. "
            "Set it to 20 by `patronictl edit-config`"
        )


def _settings(host: str) -> Mapping[str, Any] | None:
    """Return the cluster's settings from Patroni's REST API on the leader, or None if it doesn't answer."""
    connection = HTTPConnection(host, _PORT, timeout=_TIMEOUT)
    try:
        connection.request("GET", "/config")
        settings = json.loads(connection.getresponse().read())
    except (OSError, HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return settings if isinstance(settings, dict) else None
