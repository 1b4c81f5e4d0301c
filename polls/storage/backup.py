"""Backups of the database, without sessions: written by pg_dump, restored by pg_restore."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from psycopg2.extensions import make_dsn

from polls.config.settings import Postgres
from polls.storage.checks.schema import describe_missing_tables
from polls.storage.postgres import migrations
from polls.storage.postgres.connect import Connection, libpq_environment, query
from polls.storage.postgres.embedded import available_binaries, major_version
from polls.storage.postgres.primary import database_name
from polls.storage.tables import session

DEBIAN_BINARIES = Path("/usr/lib/postgresql")  # Debian's folder of all installed major versions

# Leave out what the server's operator manages: restoring it may need a superuser, which polls' role isn't.
_SKIP_OPERATOR_OBJECTS = (
    "--no-owner",
    "--no-privileges",
    "--no-comments",
    "--no-publications",
    "--no-subscriptions",
    "--no-security-labels",
    "--no-tablespaces",
)

# The operator manages extensions, too, except plpgsql, which every database has. Sessions are left out: a restore would
# make those valid again that have ended since.
_DUMP_OPTIONS = (
    "--format=custom",
    "--lock-wait-timeout=60s",  # for tables that another transaction, such as a migration, has locked
    "--extension=plpgsql",
    f"--exclude-table-data={session.name}",
    *_SKIP_OPERATOR_OBJECTS,
)

# Whether the database has relations or functions other than the system's and those of extensions.
_HAS_OBJECTS = """
    SELECT EXISTS (
        SELECT
        FROM (
            SELECT 'pg_class'::regclass AS catalog, oid, relnamespace AS schema FROM pg_class
            UNION ALL
            SELECT 'pg_proc'::regclass, oid, pronamespace FROM pg_proc
        ) AS object
        JOIN pg_namespace ON pg_namespace.oid = object.schema
        WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND NOT EXISTS (
            SELECT FROM pg_depend WHERE classid = object.catalog AND objid = object.oid AND deptype = 'e'
        )
    )
"""

_END_SESSIONS = "DO $$ BEGIN IF to_regclass('session') IS NOT NULL THEN DELETE FROM session; END IF; END $$"


class BackupFailed(Exception):
    """A backup or a restore has failed; the message says why and what to do, in one line."""


class _ProgramFailed(Exception):
    """One of PostgreSQL's programs has failed; the message is its error output, in one line."""


def back_up(file: Path, postgres: Postgres, connection: Connection, *, replace: bool = False) -> int:
    """Write a consistent snapshot of the database to `file`, and return its size in bytes.

    Voting is not blocked. `file` appears when it is complete, and only its owner can read it. Raises BackupFailed, also
    if `file` exists and `replace` is False.
    """
    try:
        if file.exists() and not (replace and file.is_file()):
            advice = "name another file, or add --force to replace it" if file.is_file() else "name another file"
            raise BackupFailed(f"{file} exists; {advice}")
        _check_has_polls(postgres, connection)
        pg_dump = find_program("pg_dump", connection)
        with _atomic_write(file) as temporary:
            # Not by redirecting standard output: pg_dump would append a second table of contents, and a truncated
            # file would pass for a complete one.
            _run([pg_dump, *_DUMP_OPTIONS, f"--file={temporary}"], postgres)
        return file.stat().st_size
    except _ProgramFailed as error:
        raise BackupFailed(f"{file} was not written. {error}") from error
    except OSError as error:
        raise BackupFailed(f"can't write {file}: {error.strerror or error}") from error


def stream_backup(target: IO[bytes], postgres: Postgres, connection: Connection) -> None:
    """Write a backup to an open file. Raises BackupFailed."""
    _check_has_polls(postgres, connection)
    command = [find_program("pg_dump", connection), *_DUMP_OPTIONS]
    with subprocess.Popen(command, env=os.environ | libpq_environment(postgres), stdout=subprocess.PIPE) as pg_dump:
        assert pg_dump.stdout is not None  # nosec B101 # it is a pipe
        try:
            shutil.copyfileobj(pg_dump.stdout, target)
            target.flush()
        except BaseException as error:
            pg_dump.kill()
            if isinstance(error, OSError):
                raise BackupFailed(f"can't write: {error.strerror or error}") from error
            raise
    if pg_dump.returncode != 0:
        raise BackupFailed("the backup is incomplete: pg_dump failed")


def restore_from(file: Path, postgres: Postgres, connection: Connection, *, display_name: str = "") -> None:
    """Restore `file` into an empty database, completely or not at all. Raises BackupFailed.

    An older schema is not migrated; a newer one is refused. `display_name` is the file's name in messages.
    """
    pg_restore = find_program("pg_restore", connection)
    name = database_name(postgres)
    # Without the lock, a process that starts meanwhile would create tables.
    with migrations.migration_lock(connection):
        if query(connection, _HAS_OBJECTS) == [(True,)]:
            raise BackupFailed(
                f"the database {name} is not empty and was not changed. Restore into a new one: "
                "set postgres.database to another name"
                + (" (polls creates it)" if postgres.embedded else f", and create it: createdb {name}_restored")
            )
        _check_backup(file, display_name or str(file), pg_restore, postgres)
        target = f"--dbname={make_dsn(dbname=name)}"
        options = ["--single-transaction", "--exit-on-error", target, *_SKIP_OPERATOR_OBJECTS]
        try:
            _run([pg_restore, *options, str(file.absolute())], postgres)
        except _ProgramFailed as error:
            raise BackupFailed(
                f"nothing was restored from {display_name or file}; the database {name} is still empty. {error}"
            ) from error
    with connection, connection.cursor() as cursor:
        # Backups of older versions contain sessions, some of which have ended since.
        cursor.execute(_END_SESSIONS)
        # pg_restore copies rows before it creates triggers, so no process was notified; and it collects no statistics.
        cursor.execute("NOTIFY polls, '{}'")
        cursor.execute("ANALYZE")


def find_program(name: str, connection: Connection) -> str:
    """Return the path of PostgreSQL's program `name` in the server's major version. Raises BackupFailed.

    Programs of different major versions may not read each other's files.
    """
    version = str(connection.server_version // 10_000)
    if (on_debian := DEBIAN_BINARIES / version / "bin" / name).exists():
        return str(on_debian)
    if (on_path := shutil.which(name)) and major_version(on_path) == version:
        return on_path
    if bundled := available_binaries().get(version):
        return str(bundled / name)
    raise BackupFailed(
        f"the server is PostgreSQL {version}, and no {name} of that version is installed here. "
        f"Install it (on Debian: postgresql-client-{version})"
    )


@contextmanager
def _atomic_write(file: Path) -> Iterator[Path]:
    """Yield a temporary file in the same folder, which is synced to disk and renamed to `file` at the end."""
    descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        yield Path(name)
        os.fsync(descriptor)
        Path(name).replace(file)
    finally:
        os.close(descriptor)
        with suppress(FileNotFoundError):
            Path(name).unlink()
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _check_has_polls(postgres: Postgres, connection: Connection) -> None:
    if problem := describe_missing_tables(connection):
        raise BackupFailed(problem)
    if not migrations.applied(connection):
        raise BackupFailed(f"there is nothing to back up: the database {database_name(postgres)} has no polls in it")


def _check_backup(file: Path, display_name: str, pg_restore: str, postgres: Postgres) -> None:
    """Raise BackupFailed if `file` is not a backup, or one that this version of polls can't serve."""
    try:
        if file.is_fifo():
            raise BackupFailed(
                f"{display_name} can be read only once; use standard input: polls restore - < {display_name}"
            )
        with file.open("rb"):
            pass
    except OSError as error:
        raise BackupFailed(f"can't read {display_name}: {error.strerror or error}") from error
    try:
        # Absolute: a name that begins with a hyphen would be an option.
        sql = _run([pg_restore, "--data-only", "--table=migration", "--file=-", str(file.absolute())], postgres)
    except _ProgramFailed as error:
        if "unsupported version" in str(error):
            problem = "was written by a newer PostgreSQL than the server's; restore it into a server of that version"
        elif re.search("valid (tar )?archive|too short", str(error)):
            problem = "is not a backup of polls"
        else:
            problem = f"is damaged or incomplete; use another backup. {error}"
        raise BackupFailed(f"{display_name} {problem}") from error
    rows = re.search(r"^COPY \S*migration \(name, hash, [^\n]*\n(.*?)^\\\.$", sql, re.DOTALL | re.MULTILINE)
    if rows is None:
        raise BackupFailed(f"{display_name} is not a backup of polls")
    applied = {name: hash_ for name, hash_, *_ in (row.split("\t") for row in rows[1].splitlines())}
    ours = {migration.name: migration.hash for migration in migrations.migrations()}
    if newer := sorted(applied.keys() - ours.keys()):
        raise BackupFailed(
            f"{display_name} was written by a newer polls, with {', '.join(newer)}; restore it with that one"
        )
    if differing := sorted(name for name, hash_ in applied.items() if hash_ != ours[name]):
        raise BackupFailed(
            f"{display_name} was written by a polls with another sql/{differing[0]}.sql; restore it with that one"
        )


def _run(command: list[str], postgres: Postgres) -> str:
    """Run one of PostgreSQL's programs and return its output. Raises _ProgramFailed."""
    environ = os.environ | libpq_environment(postgres) | {"LC_ALL": "C"}  # English: the errors are parsed
    done = subprocess.run(command, env=environ, capture_output=True, check=False)
    if done.returncode != 0:
        name = Path(command[0]).name
        error = " ".join(done.stderr.decode(errors="replace").split()) or f"status {done.returncode}"
        raise _ProgramFailed(f"{name} says: {error.removeprefix(f'{name}: error: ')}")
    return done.stdout.decode(errors="replace")
