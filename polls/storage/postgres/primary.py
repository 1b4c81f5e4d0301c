"""Connection strings, and the search for the primary of several hosts."""

import os
import re
import socket
import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from time import monotonic
from typing import Any

import psycopg2
from psycopg2.extensions import make_dsn

from polls.config.settings import Postgres

CONNECT_TIMEOUT = 5  # seconds until a server that doesn't answer counts as unreachable
CHECK_TIMEOUT = 1  # seconds that several hosts have to answer, all at the same time

# End the checks that CHECK_TIMEOUT has abandoned soon after it; libpq's shortest time-out is two seconds.
_CHECK_OPTIONS: dict[str, Any] = {"connect_timeout": 2, "tcp_user_timeout": 2000, "options": "-c statement_timeout=1s"}

# A standby that is promoted begins a new timeline. No role needs a privilege to read it.
_HOST_STATE = """
    SELECT
        pg_is_in_recovery(),
        current_setting('transaction_read_only') = 'on',
        CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) END
"""


@dataclass(frozen=True, slots=True)
class Primary:
    """The primary: the settings with its host alone, its connection string and its timeline (0 if not checked)."""

    postgres: Postgres
    dsn: str
    timeline: int

    def __str__(self) -> str:
        return _host_name(self.postgres)


class NoPrimary(psycopg2.OperationalError):
    """None of several hosts is the primary; the message contains the reason for each."""


def find_primary(postgres: Postgres, *, min_timeline: int = 0) -> Primary:
    """Return the primary. A single host is taken for it without a check.

    Of several hosts that claim to be the primary, it is the one with the highest timeline: an old primary that was cut
    off from the others doesn't know that a standby was promoted in its place. A host whose timeline is lower than
    `min_timeline`, the last known one, is refused. Raises psycopg2.OperationalError.
    """
    hosts = postgres.hosts
    if len(hosts) == 1:
        with closing(psycopg2.connect(dsn(hosts[0]))) as connection:
            return Primary(hosts[0], pin_address(hosts[0], connection), timeline=0)
    answers = _check_hosts(hosts)
    primaries = [answer for answer in answers if isinstance(answer, Primary)]
    newest = max(primaries, key=lambda primary: primary.timeline, default=None)
    if newest is None or newest.timeline < min_timeline:
        reasons = (
            f"{_host_name(host)}: {answer if isinstance(answer, str) else 'an older primary than was seen before'}"
            for host, answer in zip(hosts, answers, strict=True)
        )
        raise NoPrimary(f"no host is a writable primary: {'; '.join(reasons)}")
    return newest


def dsn(postgres: Postgres) -> str:
    """Return libpq's connection string for one host; any character is allowed in any setting."""
    return make_dsn(
        host=postgres.host,
        port=postgres.port,
        user=postgres.user,
        password=postgres.password,
        passfile=postgres.passfile,
        sslmode=postgres.sslmode,
        sslrootcert=postgres.sslrootcert,
        sslcert=postgres.sslcert,
        sslkey=postgres.sslkey,
        dbname=database_name(postgres),
        application_name="polls",
        connect_timeout=CONNECT_TIMEOUT,
    )


def database_name(postgres: Postgres) -> str:
    """Return the database's name from the configuration, else from $PGDATABASE, else "polls"."""
    return postgres.database or os.environ.get("PGDATABASE") or "polls"


def short_error(message: str) -> str:
    """Return libpq's error message in one line, without its hint."""
    return re.sub(r" Is the server running .*\?$", "", " ".join(message.split())).rstrip(".")


def _check_hosts(hosts: Sequence[Postgres]) -> list[Primary | str]:
    """Return for each host a Primary, or the reason why it isn't one.

    libpq with all hosts in one connection string would wait for each unreachable one in turn.
    """
    answers: list[Primary | str] = [f"no answer within {CHECK_TIMEOUT} second"] * len(hosts)

    def check(index: int) -> None:
        answers[index] = _check_host(hosts[index])

    threads = [threading.Thread(target=check, args=[index], daemon=True) for index in range(len(hosts))]
    deadline = monotonic() + CHECK_TIMEOUT
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0, deadline - monotonic()))
    return list(answers)  # a copy: later answers are ignored


def _check_host(postgres: Postgres) -> Primary | str:
    try:
        with closing(psycopg2.connect(dsn(postgres), **_CHECK_OPTIONS)) as connection, connection.cursor() as cursor:
            cursor.execute(_HOST_STATE)
            ((is_standby, is_read_only, timeline),) = cursor.fetchall()
            if is_standby or is_read_only:
                return "a standby" if is_standby else "read-only"
            return Primary(postgres, pin_address(postgres, connection), int(timeline, 16))
    except (psycopg2.Error, OSError) as error:
        return short_error(str(error).rpartition(" failed: ")[2])


def pin_address(postgres: Postgres, connection: psycopg2.extensions.connection) -> str:
    """Return the connection string; if the host's name has several addresses, pinned to that of `connection`.

    aiopg hangs if the first address of a name refuses (`localhost` with ::1 before 127.0.0.1), where libpq tries the
    next one: https://github.com/aio-libs/aiopg/issues/837
    """
    host = connection.info.host
    if host is None or host.startswith("/"):
        return dsn(postgres)
    addresses = {address[0] for *_, address in socket.getaddrinfo(host, None)}
    if len(addresses) < 2:
        return dsn(postgres)
    with socket.socket(fileno=os.dup(connection.fileno())) as connected:
        return make_dsn(dsn(postgres), hostaddr=connected.getpeername()[0])


def _host_name(postgres: Postgres) -> str:
    return f"{postgres.host}:{postgres.port}" if postgres.port else str(postgres.host)
