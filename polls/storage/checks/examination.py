"""What an operator should know of a database: each thing that may be wrong with it, and what to do then."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import Any, NamedTuple, TypeAlias

import psycopg2

from polls.config.settings import Postgres
from polls.storage.checks.durability import weak_settings
from polls.storage.checks.schema import schema_damage
from polls.storage.postgres import migrations
from polls.storage.postgres.connect import Connection, UnusableDatabase
from polls.storage.postgres.pool import DEDICATED_CONNECTIONS
from polls.storage.tables import account, history, metadata

OLDEST = 15  # the major version that our SQL needs
_SKEW = 1  # seconds between two clocks, until it is a fault

_NEEDED = {
    **dict.fromkeys(metadata.tables, ("SELECT", "INSERT", "UPDATE", "DELETE")),
    account.name: ("SELECT", "INSERT", "UPDATE"),
    history.name: ("SELECT", "INSERT"),
    "migration": ("SELECT",),
}


class Verdict(StrEnum):
    """What to make of a finding: nothing, remember it, or do something."""

    OK = "ok"
    NOTE = "note"
    FAULT = "fault"


class Finding(NamedTuple):
    """What was found of a `subject`. The text of a fault says what to do."""

    verdict: Verdict
    subject: str
    text: str

    def __str__(self) -> str:
        return f"{self.verdict:<6}{self.subject}: {self.text}"


_Said: TypeAlias = Iterator[tuple[Verdict, str]]


def examine(connection: Connection, postgres: Postgres) -> Iterator[Finding]:
    """Look at everything, whatever goes wrong on the way. Changes nothing."""
    for subject, check in _CHECKS.items():
        try:
            said = list(check(connection, postgres))
        except UnusableDatabase as error:
            said = [_fault(str(error))]
        except psycopg2.Error as error:
            said = [_fault("it can't be looked at. PostgreSQL says:", *str(error).split())]
        for verdict, text in said:
            yield Finding(verdict, subject, text)
        if connection.closed:
            return


def _version(connection: Connection, _: Postgres) -> _Said:
    ((version,),) = _ask(connection, "SHOW server_version")
    if connection.server_version < 10_000 * OLDEST:
        yield _fault(f"PostgreSQL {version} is too old. Upgrade it to {OLDEST} or later")
    else:
        yield _ok(f"PostgreSQL {version}")


def _writing(connection: Connection, _: Postgres) -> _Said:
    ((is_standby, read_only),) = _ask(
        connection, "SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'"
    )
    if is_standby:
        yield _fault("this is a standby, which takes no votes. Name the primary in postgres.host")
    elif read_only:
        yield _fault("this database is read-only, and takes no votes. Reset default_transaction_read_only")
    else:
        _ask(connection, "LISTEN polls; UNLISTEN polls")
        yield _ok("this database takes votes, and can be listened to")


def _settings(connection: Connection, _: Postgres) -> _Said:
    weak = weak_settings(connection)
    yield from map(_fault, weak)
    if not weak:
        yield _ok("with fsync, full_page_writes and synchronous_commit, votes that are counted survive a crash")


def _standbys(connection: Connection, _: Postgres) -> _Said:
    ((names, commit, connected, synchronous, unseen),) = _ask(
        connection,
        """
        SELECT
            current_setting('synchronous_standby_names'),
            current_setting('synchronous_commit'),
            count(*),
            count(*) FILTER (WHERE sync_state IN ('sync', 'quorum')),
            count(*) FILTER (WHERE sync_state IS NULL)
        FROM pg_stat_replication
        """,
    )
    if not names:
        yield _note("none is named in synchronous_standby_names: with the database's disk, votes would be lost")
    elif commit in {"off", "local"}:
        yield _fault(f"votes don't wait for {names}, since synchronous_commit is {commit}. Set it to on")
    elif unseen and not synchronous:
        yield _note(f"{connected} connected; whether as {names}, only a role may see that was GRANTed pg_monitor")
    elif not synchronous:
        yield _fault(
            f"votes wait for {names}, and none of these is connected, so none is counted.",
            "Start one, or change synchronous_standby_names",
        )
    else:
        yield _ok(f"votes wait for {names}; {synchronous} synchronous, {connected} connected")


def _clock(connection: Connection, _: Postgres) -> _Said:
    before = time.time()
    ((there,),) = _ask(connection, "SELECT extract(epoch FROM clock_timestamp())::double precision")
    after = time.time()
    ahead = (before + after) / 2 - there
    if abs(ahead) > _SKEW + (after - before) / 2:
        yield _fault(
            f"this machine's is {abs(ahead):,.0f} seconds {'ahead of' if ahead > 0 else 'behind'} the database's.",
            "Polls open and close by the database's, and logs and certificates go by this one. Set both by NTP",
        )
    else:
        yield _ok(f"this machine's and the database's differ by {abs(ahead):.3f} seconds")


def _schema(connection: Connection, postgres: Postgres) -> _Said:
    pending = [migration.name for migration in migrations.pending(connection)]
    ours = {migration.name for migration in migrations.migrations()}
    foreign = migrations.newer(connection)
    if lost := migrations.missing_tables(connection):
        yield _fault(lost)
    elif pending and postgres.migrate:
        yield _note(f"{', '.join(pending)} not applied yet; serving does it")
    elif pending:
        yield _fault(f"{', '.join(pending)} not applied, and postgres.migrate is off. Run `polls migrate`")
    elif harm := schema_damage(connection):
        yield from map(_fault, harm)
    else:
        yield _ok(f"all {len(ours)} migrations are applied, and what they made is there")
    if foreign:
        yield _note(f"{', '.join(foreign)} of a newer polls; this one goes on beside it")


def _permissions(connection: Connection, postgres: Postgres) -> _Said:
    ((role, schema, may_create),) = _ask(
        connection,
        """
        SELECT
            quote_ident(current_user),
            quote_ident(current_schema()),
            has_schema_privilege(current_schema(), 'CREATE')
        """,
    )
    if schema is None:
        yield _fault(f"{role} may use no schema. GRANT USAGE ON SCHEMA public TO {role}")
        return
    faults = [
        _fault(f"{role} may not {words} on {table}. GRANT {words} ON {schema}.{table} TO {role}")
        for table, words in _missing(connection).items()
    ]
    if postgres.migrate and not may_create:
        faults.append(
            _fault(
                f"{role} may not make tables, and postgres.migrate is on.",
                f"GRANT CREATE ON SCHEMA {schema} TO {role}, or set postgres.migrate to false",
            )
        )
    if postgres.migrate and (others := _of_others(connection)):
        faults.append(
            _fault(
                f"{role} does not own {', '.join(others)}, and postgres.migrate is on.",
                "Set it to false, and run `polls migrate` as the owner",
            )
        )
    yield from faults
    if not faults:
        yield _ok(f"{role} may do what polls does")


def _missing(connection: Connection) -> dict[str, str]:
    """What this role may not do, by the table, of those of ours that are there."""
    pairs = [(table, privilege) for table, privileges in _NEEDED.items() for privilege in privileges]
    found = _ask(
        connection,
        """
        SELECT needed.name, needed.privilege
        FROM unnest(%s, %s) WITH ORDINALITY AS needed (name, privilege, place)
        WHERE NOT has_table_privilege(to_regclass(needed.name), needed.privilege)
        ORDER BY needed.name, needed.place
        """,
        *zip(*pairs, strict=True),
    )
    missing = defaultdict(list)
    for table, privilege in found:
        missing[table].append(privilege)
    return {table: ", ".join(privileges) for table, privileges in missing.items()}


def _of_others(connection: Connection) -> list[str]:
    """Our tables that another role owns."""
    found = _ask(
        connection,
        """
        SELECT needed.name
        FROM unnest(%s) AS needed (name)
        JOIN pg_class ON pg_class.oid = to_regclass(needed.name)
        WHERE NOT pg_has_role(pg_class.relowner, 'USAGE')
        ORDER BY needed.name
        """,
        tuple(_NEEDED),
    )
    return [name for (name,) in found]


def _connections(connection: Connection, postgres: Postgres) -> _Said:
    ((most, in_use),) = _ask(
        connection,
        """
        SELECT
            CASE
                WHEN rolsuper THEN current_setting('max_connections')::integer
                ELSE least(
                    current_setting('max_connections')::integer
                    - current_setting('superuser_reserved_connections')::integer
                    - coalesce(current_setting('reserved_connections', true)::integer, 0), -- since PostgreSQL 16
                    nullif(rolconnlimit, -1),
                    nullif(datconnlimit, -1)
                )
            END,
            (SELECT sum(numbackends) FROM pg_stat_database)
        FROM pg_roles
        CROSS JOIN pg_database
        WHERE rolname = current_user AND datname = current_database()
        """,
    )
    each = postgres.maxsize + DEDICATED_CONNECTIONS
    if most < each:
        yield _fault(
            f"a process opens up to {each}, and PostgreSQL lets {most} in.",
            "Raise max_connections, or what limits the role or the database, or lower postgres.maxsize",
        )
    else:
        yield _ok(
            f"a process opens up to {each}; PostgreSQL lets {most} in: {most // each} processes; open now: {in_use}"
        )


def _ask(connection: Connection, question: str, *arguments: Sequence[str]) -> list[tuple[Any, ...]]:
    """What the database answers, in a transaction of its own: one that fails spoils no other."""
    with connection, connection.cursor() as cursor:
        cursor.execute(question, [list(argument) for argument in arguments] or None)
        return cursor.fetchall() if cursor.description else []


def _ok(text: str) -> tuple[Verdict, str]:
    return Verdict.OK, text


def _note(text: str) -> tuple[Verdict, str]:
    return Verdict.NOTE, text


def _fault(*sentences: str) -> tuple[Verdict, str]:
    """What is wrong, and what to do."""
    return Verdict.FAULT, " ".join(sentences)


_CHECKS: dict[str, Callable[[Connection, Postgres], _Said]] = {
    "version": _version,
    "writing": _writing,
    "settings": _settings,
    "standbys": _standbys,
    "clock": _clock,
    "schema": _schema,
    "permissions": _permissions,
    "connections": _connections,
}
