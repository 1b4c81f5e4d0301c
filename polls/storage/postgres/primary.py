"""Where PostgreSQL is: what libpq is told, and which of several hosts takes votes."""

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

CONNECT_TIMEOUT = 5  # seconds until a server that doesn't answer counts as away
ASK_TIMEOUT = 1  # seconds that several hosts have to answer, all at the same time

# Hosts that are asked give up by themselves soon after we have: libpq takes no less than two seconds for that.
_ASKING: dict[str, Any] = {"connect_timeout": 2, "tcp_user_timeout": 2000, "options": "-c statement_timeout=1s"}

# A standby that is promoted begins a new timeline. Everybody may read it.
_QUESTION = """
    SELECT
        pg_is_in_recovery(),
        current_setting('transaction_read_only') = 'on',
        CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) END
"""


@dataclass(frozen=True, slots=True)
class Host:
    """A host that takes votes: the settings with it alone, how libpq gets there, and on which timeline it is."""

    postgres: Postgres
    dsn: str
    timeline: int

    def __str__(self) -> str:
        return _name(self.postgres)


class NoHost(psycopg2.OperationalError):
    """None of several hosts takes votes; the message tells what each of them answered."""


def find(postgres: Postgres, *, since: int = 0) -> Host:
    """The host that takes votes. One that is alone is not asked whether it does.

    Of several that say so, it is the one with the highest timeline: an old primary that was cut off from everybody else
    doesn't know of the standby that was promoted in its place. Nobody goes back behind the timeline `since`.
    Raises psycopg2.OperationalError.
    """
    hosts = postgres.hosts
    if len(hosts) == 1:
        with closing(psycopg2.connect(dsn(hosts[0]))) as connection:
            return Host(hosts[0], pin_address(hosts[0], connection), timeline=0)
    answers = _ask(hosts)
    newest = max((host for host in answers if isinstance(host, Host)), key=lambda host: host.timeline, default=None)
    if newest is None or newest.timeline < since:
        told = (
            f"{_name(host)}: {answer if isinstance(answer, str) else 'an older primary than was seen before'}"
            for host, answer in zip(hosts, answers, strict=True)
        )
        raise NoHost(f"no host takes votes: {'; '.join(told)}")
    return newest


def writable(postgres: Postgres) -> Postgres:
    """The settings with the host alone that takes votes. Raises psycopg2.OperationalError."""
    return postgres.hosts[0] if len(postgres.hosts) == 1 else find(postgres).postgres


def dsn(postgres: Postgres) -> str:
    """The connection string for libpq, to one host; any character is allowed in any setting."""
    named = {
        "host": postgres.host,
        "port": postgres.port,
        "user": postgres.user,
        "password": postgres.password,
        "passfile": postgres.passfile,
        "sslmode": postgres.sslmode,
        "sslrootcert": postgres.sslrootcert,
        "sslcert": postgres.sslcert,
        "sslkey": postgres.sslkey,
    }
    return make_dsn(
        dbname=database_name(postgres),
        application_name="polls",
        connect_timeout=str(CONNECT_TIMEOUT),
        **{key: str(value) for key, value in named.items() if value is not None},
    )


def database_name(postgres: Postgres) -> str:
    """The name of the database_name, where neither the configuration nor $PGDATABASE gives one: polls."""
    return postgres.database or os.environ.get("PGDATABASE") or "polls"


def reason(refusal: str) -> str:
    """Why libpq could not connect, in one line."""
    return re.sub(r" Is the server running .*\?$", "", " ".join(refusal.split())).rstrip(".")


def _ask(hosts: Sequence[Postgres]) -> list[Host | str]:
    """What each answers: that it takes votes, or why not. libpq, told of them all, would wait for one that is away."""
    answers: list[Host | str] = [f"no answer within {ASK_TIMEOUT} second"] * len(hosts)

    def ask(place: int) -> None:
        answers[place] = _answer(hosts[place])

    threads = [threading.Thread(target=ask, args=[place], daemon=True) for place in range(len(hosts))]
    deadline = monotonic() + ASK_TIMEOUT
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0, deadline - monotonic()))
    return list(answers)  # what is answered later is not heard


def _answer(postgres: Postgres) -> Host | str:
    try:
        with closing(psycopg2.connect(dsn(postgres), **_ASKING)) as connection, connection.cursor() as cursor:
            cursor.execute(_QUESTION)
            ((is_standby, is_read_only, timeline),) = cursor.fetchall()
            if is_standby or is_read_only:
                return "a standby" if is_standby else "read-only"
            return Host(postgres, pin_address(postgres, connection), int(timeline, 16))
    except (psycopg2.Error, OSError) as error:
        return reason(str(error).rpartition(" failed: ")[2])


def pin_address(postgres: Postgres, connection: psycopg2.extensions.connection) -> str:
    """The connection string, narrowed to the address that answers where a name has several.

    aiopg hangs when the first address of a name refuses (`localhost` with ::1 before 127.0.0.1); libpq goes on
    to the next one.
    """
    host = connection.info.host
    if host is None or host.startswith("/") or len(_addresses(host)) < 2:
        return dsn(postgres)
    with socket.socket(fileno=os.dup(connection.fileno())) as wire:
        return make_dsn(dsn(postgres), hostaddr=wire.getpeername()[0])


def _addresses(host: str) -> set[str]:
    return {str(address[0]) for *_, address in socket.getaddrinfo(host, None)}


def _name(postgres: Postgres) -> str:
    return f"{postgres.host}:{postgres.port}" if postgres.port else str(postgres.host)
