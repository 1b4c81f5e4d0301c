"""Backups: everything in the database but who is signed in, written by pg_dump to a file, and read by pg_restore."""

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
from polls.storage.postgres import embedded, migrations
from polls.storage.postgres.connect import Connection, libpq_environment
from polls.storage.postgres.primary import database_name
from polls.storage.tables import session

_DEBIAN = Path("/usr/lib/postgresql")  # here Debian keeps the programs of several versions side by side
_PATIENCE = "60s"  # for whoever holds a table, such as a migration

# What belongs to the operator of the server and not to polls. It may take a superuser to make it anew; we are none.
_OURS_ALONE = (
    "--no-owner",
    "--no-privileges",
    "--no-comments",
    "--no-publications",
    "--no-subscriptions",
    "--no-security-labels",
    "--no-tablespaces",
)

# Extensions are the operator's, too, but for the one that every database has. Sessions that have ended since would be
# there again with what is restored, so none is kept.
_EVERYTHING = (
    "--format=custom",
    f"--lock-wait-timeout={_PATIENCE}",
    "--extension=plpgsql",
    f"--exclude-table-data={session.name}",
    *_OURS_ALONE,
)

# Whether there is anything that somebody has made, but for what belongs to an extension.
_OBJECTS = """
    SELECT EXISTS (
        SELECT
        FROM (
            SELECT 'pg_class'::regclass AS catalog, oid, relnamespace AS schema FROM pg_class
            UNION ALL
            SELECT 'pg_proc'::regclass, oid, pronamespace FROM pg_proc
        ) AS thing
        JOIN pg_namespace ON pg_namespace.oid = thing.schema
        WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND NOT EXISTS (
            SELECT FROM pg_depend WHERE classid = thing.catalog AND objid = thing.oid AND deptype = 'e'
        )
    )
"""


_END_SESSIONS = """
    DO $$ BEGIN
        IF to_regclass('session') IS NOT NULL THEN
            DELETE FROM session;
        END IF;
    END $$
"""


class BackupFailed(Exception):
    """Nothing was written, or nothing was restored; the message tells why, and what to do, in one line."""


class _ProgramFailed(Exception):
    """One of PostgreSQL's programs failed; the message is what it says about it, in one line."""


def back_up(file: Path, postgres: Postgres, connection: Connection, *, replace: bool = False) -> int:
    """Write what is in the database, as it is at one moment, to `file`, and return how many bytes that is.

    Voting goes on meanwhile. `file` is there when it is whole, and its owner alone may read it. Raises BackupFailed,
    also where there is such a file already and it isn't to be replaced.
    """
    try:
        if file.exists() and not (replace and file.is_file()):
            advice = "name another file, or say --force to replace it" if file.is_file() else "name another file"
            raise BackupFailed(f"{file} is there already; {advice}")
        _expect_polls(postgres, connection)
        program = _program("pg_dump", postgres, connection)
        with _whole_or_not_there(file) as half_written:
            # By its name: what pg_dump writes to a standard output that is a file ends in a second list of contents,
            # so that nobody would notice where it was cut off.
            _run([program, *_EVERYTHING, f"--file={half_written}"], postgres)
        return file.stat().st_size
    except _ProgramFailed as error:
        raise BackupFailed(f"{file} was not written. {error}") from error
    except OSError as error:
        raise BackupFailed(f"can't write {file}: {error.strerror or error}") from error


def stream(target: IO[bytes], postgres: Postgres, connection: Connection) -> None:
    """Write what is in the database to an open file. Raises BackupFailed."""
    _expect_polls(postgres, connection)
    words = [_program("pg_dump", postgres, connection), *_EVERYTHING]
    with subprocess.Popen(words, env=os.environ | libpq_environment(postgres), stdout=subprocess.PIPE) as pg_dump:
        assert pg_dump.stdout is not None  # noqa: S101
        try:
            shutil.copyfileobj(pg_dump.stdout, target)
            target.flush()
        except BaseException as error:
            pg_dump.kill()
            if isinstance(error, OSError):
                raise BackupFailed(f"can't write: {error.strerror or error}") from error
            raise
    if pg_dump.returncode != 0:
        raise BackupFailed("what was written is no whole backup: pg_dump failed")


def restore_from(file: Path, postgres: Postgres, connection: Connection, *, called: str = "") -> None:
    """Fill an empty database with what is in `file`: with all of it, or with nothing. Raises BackupFailed.

    A schema that is older than ours stays as it is; a newer one is refused. What is said of the file calls it `called`.
    """
    program = _program("pg_restore", postgres, connection)
    name = database_name(postgres)
    # Whoever begins to serve meanwhile would make tables of their own.
    with migrations.alone(connection):
        if _has_objects(connection):
            raise BackupFailed(
                f"the database {name} is not empty, and stays as it is. Restore into a new one: "
                "write another name below postgres: as database"
                + (" (polls makes it)" if postgres.embedded else f", and make it: createdb {name}_restored")
            )
        _check(file, called or str(file), program, postgres)
        words = ["--single-transaction", "--exit-on-error", f"--dbname={make_dsn(dbname=name)}", *_OURS_ALONE]
        try:
            _run([program, *words, str(file)], postgres)
        except _ProgramFailed as error:
            raise BackupFailed(
                f"nothing was restored of {called or file}; the database {name} is empty as before. {error}"
            ) from error
    with connection, connection.cursor() as cursor:
        # Backups of older versions bring along who was signed in then, and sessions that have ended since.
        cursor.execute(_END_SESSIONS)
        # Rows were copied before there were triggers, so nobody has heard of them; nor does the planner know any.
        cursor.execute("NOTIFY polls, '{}'")
        cursor.execute("ANALYZE")


@contextmanager
def _whole_or_not_there(file: Path) -> Iterator[Path]:
    """A file beside `file`, for its owner alone, which becomes `file` when it is complete and on the disk."""
    number, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        yield Path(name)
        os.fsync(number)
        Path(name).replace(file)
    finally:
        os.close(number)
        with suppress(FileNotFoundError):
            Path(name).unlink()
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _expect_polls(postgres: Postgres, connection: Connection) -> None:
    if lost := migrations.missing_tables(connection):
        raise BackupFailed(lost)
    if not migrations.applied(connection):
        raise BackupFailed(f"there is nothing to back up: the database {database_name(postgres)} has no polls in it")


def _has_objects(connection: Connection) -> bool:
    with connection, connection.cursor() as cursor:
        cursor.execute(_OBJECTS)
        return cursor.fetchone() == (True,)


def _check(file: Path, called: str, program: str, postgres: Postgres) -> None:
    """See whether `file` is a backup that this version of polls can serve. Raises BackupFailed where it isn't."""
    try:
        if file.is_fifo():
            raise BackupFailed(f"{called} can be read only once; lead it to standard input: polls restore - < {called}")
        with file.open("rb"):
            pass
    except OSError as error:
        raise BackupFailed(f"can't read {called}: {error.strerror or error}") from error
    try:
        copy = _run([program, "--data-only", "--table=migration", "--file=-", str(file)], postgres)
    except _ProgramFailed as error:
        if "unsupported version" in str(error):
            problem = "was written by a newer PostgreSQL than the server's; use one as new"
        elif re.search("valid (tar )?archive|too short", str(error)):
            problem = "is no backup of polls"
        else:
            problem = f"is damaged, or was cut off; use another backup. {error}"
        raise BackupFailed(f"{called} {problem}") from error
    rows = re.search(r"^COPY \S*migration \(name, hash, [^\n]*\n(.*?)^\\\.$", copy, re.DOTALL | re.MULTILINE)
    if rows is None:
        raise BackupFailed(f"{called} is no backup of polls")
    brought = {name: hash_ for name, hash_, *_ in (row.split("\t") for row in rows[1].splitlines())}
    known = {migration.name: migration.hash for migration in migrations.migrations()}
    if newer := sorted(brought.keys() - known.keys()):
        raise BackupFailed(
            f"{called} was written by a newer polls, which knows {', '.join(newer)}; restore it with that"
        )
    if differing := sorted(name for name, hash_ in brought.items() if hash_ != known[name]):
        raise BackupFailed(f"{called} was written by a polls with another sql/{differing[0]}.sql; restore it with that")


def _program(name: str, postgres: Postgres, connection: Connection) -> str:
    """`name` of the server's own major version: no other can be relied on to write what that reads, and to read it."""
    wanted = connection.server_version // 10_000
    if postgres.embedded:
        return str(embedded.program(name, postgres))
    if (on_debian := _DEBIAN / str(wanted) / "bin" / name).exists():
        return str(on_debian)
    if (on_path := shutil.which(name)) and _major_version(on_path) == wanted:
        return on_path
    if ours := embedded.available_binaries().get(str(wanted)):
        return str(ours / name)
    raise BackupFailed(
        f"the server is PostgreSQL {wanted}, and here is no {name} of that version. "
        f"Install it (on Debian: postgresql-client-{wanted})"
    )


def _run(words: list[str], postgres: Postgres) -> str:
    """What one of PostgreSQL's programs prints. Raises _ProgramFailed."""
    environ = os.environ | libpq_environment(postgres) | {"LC_ALL": "C"}  # what it says is read here, too
    done = subprocess.run(words, env=environ, capture_output=True, check=False)
    if done.returncode != 0:
        program = Path(words[0]).name
        complaint = " ".join(done.stderr.decode(errors="replace").split()) or f"status {done.returncode}"
        raise _ProgramFailed(f"{program} says: {complaint.removeprefix(f'{program}: error: ')}")
    return done.stdout.decode(errors="replace")


def _major_version(program: str) -> int | None:
    says = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"\d+", says)
    return int(version[0]) if version else None
