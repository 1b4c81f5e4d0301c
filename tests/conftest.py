"""Fixtures of all tests: a real PostgreSQL, the real application, and polls in it."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from xdist.scheduler import LoadScopeScheduling

from polls.app import create_app
from polls.config.settings import Config, Postgres, Site
from polls.domain.poll import Choice, Poll, Question
from polls.domain.settings import DEFAULT_SETTINGS, PollSettings
from polls.storage.postgres import embedded, migrations
from polls.storage.postgres.connect import Connection, connect
from polls.web.keys import POLL_CACHE

# These use the fixed ports and sockets of config/: two workers would wait for each other.
WITH_FIXED_PORTS = {"test_nginx.py", "test_gunicorn.py", "test_bare_machine.py"}

# A test database needn't survive a crash of the machine, so commits don't wait for the disk.
NOT_DURABLE = ("fsync", "full_page_writes", "synchronous_commit")


def pytest_configure() -> None:
    """Stop ignoring SIGINT and SIGHUP, as background jobs do: the processes that tests start would inherit that."""
    for number, default in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, default)


class _Schedule(LoadScopeScheduling):
    """A scheduler that sends each file to one worker, and all files of WITH_FIXED_PORTS to the same one."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "nginx" if Path(file).name in WITH_FIXED_PORTS else str(super()._split_scope(nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _Schedule:
    return _Schedule(config, log)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    """Turn skipped tests into failures if POLLS_SKIP_NOTHING is set, as .ci/run does."""
    outcome: Any = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("POLLS_SKIP_NOTHING"):
        report.outcome = "failed"


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Postgres]:
    """The settings of one private server for the run, with a database for each worker."""
    folder = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        folder = folder.parent
    with embedded.running(Postgres(embedded=folder / "postgres", database=f"test_{worker_id}")) as postgres:
        # Without `embedded`, polls treats it as a named server, which gets no sample polls.
        named = replace(postgres, embedded=None)
        with connect(named) as connection:
            migrations.migrate(named, connection)
            connection.autocommit = True
            with connection.cursor() as cursor:
                for setting in NOT_DURABLE:
                    cursor.execute(f"ALTER SYSTEM SET {setting} = off")
                cursor.execute("SELECT pg_reload_conf()")
        yield named


@contextmanager
def empty_database(postgres: Postgres, purpose: str) -> Iterator[Postgres]:
    """Create another empty database on the test server, and drop it at the end."""
    empty = replace(postgres, database=f"{postgres.database}_{purpose}")
    with connect(postgres) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {empty.database}")
            yield empty
            cursor.execute(f"DROP DATABASE {empty.database}")


@pytest.fixture
def database(postgres: Postgres) -> Iterator[Connection]:
    """A connection in autocommit to the emptied database."""
    with connect(postgres) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE question, account, sign_in_failure, history RESTART IDENTITY CASCADE")
        yield connection


CreatePoll = Callable[..., Poll]
CaughtUp = Callable[[TestClient[Any, Any]], Awaitable[None]]


@pytest.fixture
def create_poll(database: Connection) -> CreatePoll:
    """Create a poll: `create_poll("Tea?", "Yes", "No", votes=(2, 1))`.

    `ago` and `closed` are how long ago it was published and closed. `votes` are ballots with one mark and no points.
    A poll with a `slug` has it in its URL instead of its id; it is unlisted unless `is_listed`.
    """

    def create_poll(
        text: str,
        *choices: str,
        ago: timedelta = timedelta(hours=1),
        closed: timedelta | None = None,
        votes: tuple[int, ...] = (),
        settings: PollSettings = DEFAULT_SETTINGS,
        slug: str | None = None,
        is_listed: bool | None = None,
    ) -> Poll:
        is_listed = is_listed if is_listed is not None else slug is None
        with database.cursor() as cursor:
            cursor.execute(
                "INSERT INTO question (question_text, pub_date, slug, is_listed) VALUES (%s, now() - %s, %s, %s) "
                "RETURNING id, pub_date",
                (text, ago, slug, is_listed),
            )
            question_id, pub_date = cursor.fetchone() or ()
            if settings != DEFAULT_SETTINGS:
                values = {"question_id": question_id, **asdict(settings)}
                cursor.execute(
                    f"INSERT INTO poll_settings ({', '.join(values)}) VALUES ({', '.join(['%s'] * len(values))})",
                    tuple(values.values()),
                )
            added = []
            for position, choice in enumerate(choices):
                count = votes[position] if votes else 0
                cursor.execute(
                    "INSERT INTO choice (question_id, choice_text, position, votes) "
                    "VALUES (%s, %s, %s, %s) RETURNING id",
                    (question_id, choice, position, count),
                )
                added.append(Choice((cursor.fetchone() or ())[0], choice, count))
                cursor.execute(
                    "INSERT INTO ballot (question_id, voter, marks) "
                    "SELECT %s, uuid_send(gen_random_uuid()), ARRAY[%s] FROM generate_series(1, %s)",
                    (question_id, added[-1].id, count),
                )
            cursor.execute(
                """
                UPDATE question SET closes_at = now() - %s::interval, ballots = %s WHERE id = %s
                RETURNING closes_at, now(), ballots, revision, edition
                """,
                (closed, sum(votes), question_id),
            )
            closes_at, *rest = cursor.fetchone() or ()
        asked = Question(question_id, text, pub_date.astimezone(UTC), closes_at, custom_slug=slug, is_listed=is_listed)
        return Poll(asked, tuple(added), *rest, settings)

    return create_poll


@pytest.fixture
def votes(database: Connection) -> Callable[[], list[int]]:
    """Return the votes of all choices, in the order of their ids."""

    def votes() -> list[int]:
        with database.cursor() as cursor:
            cursor.execute("SELECT votes FROM choice ORDER BY id")
            return [count for (count,) in cursor.fetchall()]

    return votes


@pytest.fixture
def config(postgres: Postgres, database: Connection) -> Config:  # noqa: ARG001 - the fixture empties it
    return Config(postgres=replace(postgres, minsize=2, maxsize=4), site=Site(name="Village hall"))


@pytest.fixture
async def client(config: Config, aiohttp_client: Any) -> TestClient[Any, Any]:
    """A client of the running application."""
    return await aiohttp_client(create_app(config))


@pytest.fixture
def caught_up(database: Connection) -> CaughtUp:
    """Wait until an application has applied everything committed so far: `await caught_up(client)`."""

    async def caught_up(client: TestClient[Any, Any]) -> None:
        poll_cache = client.app[POLL_CACHE]  # type: ignore[union-attr]
        generation = poll_cache.generation
        with database.cursor() as cursor:
            cursor.execute("NOTIFY polls, '{}'")
        async with asyncio.timeout(10):
            while poll_cache.generation == generation:
                await asyncio.sleep(0.005)

    return caught_up


@pytest.fixture
def now() -> datetime:
    return datetime(2026, 5, 3, 18, 0, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one during the test."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
