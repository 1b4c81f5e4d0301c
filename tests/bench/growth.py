"""The limits of one PostgreSQL: votes beside millions of ballots, many writers, the recount, a million polls."""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from http.client import HTTPConnection
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

from polls.storage import ballot_sql
from tests.bench import growth_votes
from tests.bench.growth_votes import Target
from tests.bench.measures import postgres_cpu, resident
from tests.support.processes import command, serving, write
from tests.support.servers import Server, running

HERE = Path(__file__).parent
MANY, SHARED = 100_000, 1_000_000  # polls, and the ballots that they have together
POLLS = 1_000_000  # with which a process starts
REMEMBERED = 10_000  # polls in the cache of a process
# Without autovacuum and checkpoints: their work would be counted in the run in which it happens to come.
SETTINGS = {"max_wal_size": "64GB", "checkpoint_timeout": "1h", "autovacuum": "off"}
WRITERS = (1, 2, 4, 8, 16, 32)
WRITERS_SECONDS = 3
FIRST, FIRST_OF_WRITERS, FIRST_OF_MANY = 10_000, 5_000, 100_000  # ids

# For pgbench: a ballot of a new voter in the poll of each client, in a transaction as polls sends it.
WRITE = (
    "\\if :is_prepared = 0\n"
    + ballot_sql.PREPARE
    + ";\n\\set is_prepared 1\n\\endif\n"
    + f"\\set poll {FIRST_OF_WRITERS} + :client_id\n"
    + r"""
    EXECUTE lock_questions (ARRAY[:poll]) \;
    EXECUTE record_ballots (
        ARRAY[:poll], ARRAY[0::bigint], ARRAY[md5(:poll::text)], ARRAY[:poll],
        ARRAY[replace(gen_random_uuid()::text, '-', '')], ARRAY[ARRAY[10 * :poll + 1]::text], ARRAY[NULL::text],
        extract(epoch FROM now()) + 5
    );
    """
)


def measure(folder: Path, options: argparse.Namespace) -> None:
    """Fill a database with polls and ballots, measure, and print tables."""
    settings = SETTINGS | {"shared_buffers": options.shared_buffers}
    with running(folder, settings) as server:
        config = {"postgres": server.address, "log": {"access": False, "level": "warning"}}
        write(folder, config)
        command(folder, "migrate", "--config=polls.yaml").check_returncode()
        print(f"\nPostgreSQL with {', '.join(f'{name} = {value}' for name, value in settings.items())}")
        targets = _fill(server, options.ballots, options.rounds)
        growth_votes.measure(folder, server, config, targets, options.rounds)
        _write(server, folder)
        _remember(folder, config)
        _verify(server, folder)
        _start(server, folder, config)


def _fill(server: Server, sizes: list[int], rounds: int) -> list[Target]:
    """Add a poll of each size, a small one for each round, and many polls with as many ballots together."""
    _add(server, FIRST_OF_WRITERS, max(WRITERS), 0)
    targets = []
    for number, size in enumerate(sizes):
        first, is_small = FIRST + 1000 * number, size <= 100_000
        _add(server, first, rounds if is_small else 1, size)
        targets.append(Target(f"a poll of {size:,} ballots", _nth(first) if is_small else _always(first), size))
    each = SHARED // MANY
    _add(server, FIRST_OF_MANY, MANY, each)
    targets += [
        Target(f"one of {MANY:,} polls of {each:,} ballots", _nth(FIRST_OF_MANY)),
        Target("all of these, each ballot in another one", _always(0), spread=(FIRST_OF_MANY, MANY)),
    ]
    server.execute("VACUUM ANALYZE")
    return targets


def _nth(first: int) -> Callable[[int], int]:
    return lambda number: first + number


def _always(poll: int) -> Callable[[int], int]:
    return lambda _: poll


def _add(server: Server, first: int, polls: int, ballots: int) -> None:
    started = monotonic()
    _run_script(server, "growth.sql", first=first, polls=polls, ballots=ballots)
    print(f"{polls:,} polls with {ballots:,} ballots each, written in {monotonic() - started:.0f} s", flush=True)


def _run_script(server: Server, name: str, **values: int) -> None:
    variables = [f"-v{key}={value}" for key, value in values.items()]
    _program(server, "psql", "-q", "-vON_ERROR_STOP=1", *variables, f"-f{HERE / name}")


def _program(server: Server, program: str, *arguments: str) -> str:
    """Run one of PostgreSQL's programs on the database, and return its output."""
    address = {f"PG{name.upper()}": str(value) for name, value in server.address.items()}
    done = subprocess.run(
        [server.binaries / program, *arguments],
        env=os.environ | address | {"PGDATABASE": "polls"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0 or "ERROR" in done.stderr:
        sys.exit(done.stderr)
    return done.stdout


def _write(server: Server, folder: Path) -> None:
    """Print the transactions a second of writers in different polls, with and without NOTIFY."""
    (folder / "write.sql").write_text(WRITE)
    script = [f"-T{WRITERS_SECONDS}", "-Dis_prepared=0", f"-f{folder}/write.sql"]
    print(
        "\nTransactions a second of writers in different polls, with one ballot each\n"
        f"{'writers':>10}{'NOTIFY':>10}{'without':>10}"
    )
    for writers in WRITERS:
        rates = []
        for verb in ("ENABLE", "DISABLE"):
            server.execute(f"ALTER TABLE question {verb} TRIGGER question_changed")
            output = _program(server, "pgbench", "-n", f"-c{writers}", *script)
            rates.append(float(re.search(r"tps = ([\d.]+)", output)[1]))  # type: ignore[index]
        print(f"{writers:10}{rates[0]:10,.0f}{rates[1]:10,.0f}", flush=True)
    server.execute("ALTER TABLE question ENABLE TRIGGER question_changed")


def _remember(folder: Path, config: Mapping[str, object]) -> None:
    """Print the memory of a process that has all polls in its cache that fit."""
    with serving(folder, config=config) as polls:
        connection = HTTPConnection(urlsplit(polls.url).netloc)
        _get(connection, f"/poll/{FIRST_OF_MANY}/results")
        before = resident(polls.process.pid)
        for number in range(REMEMBERED):
            _get(connection, f"/poll/{FIRST_OF_MANY + number}/results")
        after = resident(polls.process.pid)
        connection.close()
    print(
        f"\nA process: {before / 1000:.0f} MB, with {REMEMBERED:,} polls and their results pages in memory "
        f"{after / 1000:.0f} MB, {(after - before) / REMEMBERED:.1f} kB each",
        flush=True,
    )


def _get(connection: HTTPConnection, path: str) -> float:
    """Request a page, and return the seconds that it took."""
    started = monotonic()
    connection.request("GET", path)
    response = connection.getresponse()
    response.read()
    assert response.status == 200, (path, response.status)
    return monotonic() - started


def _verify(server: Server, folder: Path) -> None:
    ((ballots,),) = server.execute("SELECT count(*) FROM ballot")
    started, before = monotonic(), postgres_cpu(server.data)
    done = subprocess.run(
        [sys.executable, "-m", "polls", "verify", "--config=polls.yaml"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr
    spent = (postgres_cpu(server.data) - before) / 1_000_000
    seconds = monotonic() - started
    print(f"polls verify of {ballots:,} ballots: exact, {seconds:.0f} s, {spent:.0f} s of PostgreSQL's CPU", flush=True)


def _start(server: Server, folder: Path, config: Mapping[str, object]) -> None:
    """Print how long a process takes to start with a million polls, and for its first pages."""
    print()
    _add(server, FIRST_OF_MANY + MANY, POLLS - MANY, 0)
    server.execute("VACUUM ANALYZE question, choice")
    started = monotonic()
    with serving(folder, config=config) as polls:
        seconds = monotonic() - started
        connection = HTTPConnection(urlsplit(polls.url).netloc)
        pages = {path: _get(connection, path) for path in ("/", f"/poll/{FIRST_OF_MANY + MANY}")}
        memory = resident(polls.process.pid) / 1000
    print(
        f"Start with {POLLS:,} polls: {seconds:.1f} s, {memory:.0f} MB; the first requests: "
        + ", ".join(f"{path} {1000 * took:.0f} ms" for path, took in pages.items()),
        flush=True,
    )
