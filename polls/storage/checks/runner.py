"""The runner of all checks of a database, for `polls doctor`."""

from collections.abc import Iterator, Mapping

import psycopg2

from polls.config.settings import Postgres
from polls.storage.checks.counts import check_counts
from polls.storage.checks.durability import check_settings, check_standbys
from polls.storage.checks.findings import Check, Finding, fault
from polls.storage.checks.logs import check_log
from polls.storage.checks.memory import check_memory
from polls.storage.checks.patroni import check_patroni
from polls.storage.checks.permissions import check_permissions
from polls.storage.checks.schema import check_schema
from polls.storage.checks.server import check_clock, check_connections, check_encoding, check_version
from polls.storage.checks.session import check_session
from polls.storage.checks.writing import check_writing
from polls.storage.postgres.connect import Connection, UnusableDatabase

CHECKS: Mapping[str, Check] = {
    "version": check_version,
    "encoding": check_encoding,
    "session": check_session,
    "writing": check_writing,
    "settings": check_settings,
    "standbys": check_standbys,
    "Patroni": check_patroni,
    "clock": check_clock,
    "schema": check_schema,
    "permissions": check_permissions,
    "connections": check_connections,
    "memory": check_memory,
    "log": check_log,
    "counts": check_counts,  # last: it makes the session read-only
}


def run_checks(connection: Connection, postgres: Postgres, checks: Mapping[str, Check] = CHECKS) -> Iterator[Finding]:
    """Run `checks`, {subject: check}, and yield their findings. Changes nothing.

    A check that raises an error is a fault; the others still run while the connection is open.
    """
    for subject, check in checks.items():
        try:
            results = list(check(connection, postgres))
        except UnusableDatabase as error:
            results = [fault(str(error))]
        except psycopg2.Error as error:
            results = [fault("this check failed. PostgreSQL says:", *str(error).split())]
        for verdict, text in results:
            yield Finding(verdict, subject, text)
        if connection.closed:
            return
