"""Several hosts: the primary is found and used, also after a failover."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest

from polls.config.settings import Postgres
from polls.domain.ballot import Ballot, Counted
from polls.domain.errors import InvalidBallot, PollsUnavailable, VoteNotStored
from polls.domain.events import CacheInvalidated, ListenerLost
from polls.storage.ballots import Recorder
from polls.storage.checks.readiness import check_database
from polls.storage.listener import listen
from polls.storage.postgres import migrations
from polls.storage.postgres.connect import UnusableDatabase, connect, libpq_environment
from polls.storage.postgres.pool import Database, acquired, open_database
from polls.storage.postgres.primary import CHECK_TIMEOUT, NoPrimary, Primary, find_primary
from tests.support.processes import eventually, free_port
from tests.support.servers import USER, Server, running

FAST = {"fsync": "off"}  # these servers needn't survive a power failure


async def is_writable(pool: Database) -> bool:
    return (await check_database(pool, frozenset())).is_writable


@pytest.fixture(scope="module")
def primary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("primary"), FAST) as server:
        yield server


@pytest.fixture
def standby(tmp_path: Path, primary: Server) -> Iterator[Server]:
    with running(tmp_path, FAST, standby_of=primary) as server:
        yield server


@pytest.fixture
def poll(primary: Server) -> None:
    """A poll with one choice."""
    named = settings(primary)
    with connect(named) as connection:
        migrations.migrate(named, connection)
    primary.execute(
        """
        TRUNCATE question RESTART IDENTITY CASCADE;
        INSERT INTO question (question_text, pub_date) VALUES ('Tea?', now());
        INSERT INTO choice (question_id, choice_text) VALUES (1, 'Yes')
        """
    )


@pytest.fixture
async def pool(poll: None, primary: Server, standby: Server) -> AsyncIterator[Database]:  # noqa: ARG001 - the standby copies it
    pool = await open_database(settings(primary, standby))
    yield pool
    await pool.close()


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[Postgres]:
    """The settings of every search for the primary."""
    searches: list[Postgres] = []

    def search(postgres: Postgres, *, min_timeline: int) -> Primary:
        searches.append(postgres)
        return find_primary(postgres, min_timeline=min_timeline)

    monkeypatch.setattr("polls.storage.postgres.pool.find_primary", search)
    return searches


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a host that accepts connections and sends nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def address_of(server: Server) -> str:
    return "{host}:{port}".format_map(server.address)


def settings(*servers: Server | str) -> Postgres:
    names = tuple(server if isinstance(server, str) else address_of(server) for server in servers)
    return Postgres(host=names, user=USER, minsize=1, maxsize=3)


def set_read_only(server: Server, value: str) -> None:
    server.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
    server.execute("SELECT pg_reload_conf()")
    assert eventually(lambda: server.execute("SHOW default_transaction_read_only") == [(value,)])


def test_the_primary_is_found_at_any_position(primary: Server, standby: Server, silent: str) -> None:
    unused = f"127.0.0.1:{free_port()}"

    for order in ([primary, standby, unused, silent], [silent, unused, standby, primary]):
        assert find_primary(settings(*order)).postgres.port == primary.address["port"]


def test_all_hosts_are_checked_at_the_same_time(primary: Server, silent: str) -> None:
    started = monotonic()

    found = find_primary(settings(*[silent] * 10, primary))

    assert found.postgres.port == primary.address["port"]
    assert monotonic() - started < 5 * CHECK_TIMEOUT


def test_commands_and_postgresqls_programs_connect_to_the_primary(primary: Server, standby: Server) -> None:
    with connect(settings(standby, primary)) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW transaction_read_only")
        assert cursor.fetchall() == [("off",)]

    assert libpq_environment(settings(standby, primary))["PGPORT"] == str(primary.address["port"])


async def test_without_a_primary_one_line_has_the_answer_of_each_host(
    primary: Server, standby: Server, silent: str
) -> None:
    unused = f"127.0.0.1:{free_port()}"
    primary.execute("CREATE ROLE reader LOGIN; ALTER ROLE reader SET default_transaction_read_only = on")
    assert eventually(lambda: standby.execute("SELECT 1 FROM pg_roles WHERE rolname = 'reader'"))
    candidates = replace(settings(unused, silent, standby, primary), user="reader")
    message = (
        f"can't reach PostgreSQL: no host is a writable primary: {unused}: Connection refused; "
        f"{silent}: no answer within 1 second; {address_of(standby)}: a standby; {address_of(primary)}: read-only. "
        "Check the settings below postgres: in the configuration."
    )

    with pytest.raises(UnusableDatabase, match=f"^{re.escape(message)}$"), connect(candidates):
        pass
    with pytest.raises(UnusableDatabase, match=f"^{re.escape(message)}$"):
        libpq_environment(candidates)
    with pytest.raises(UnusableDatabase, match=f"^{re.escape(message)}$"):
        await open_database(candidates)


def test_the_refusal_of_each_host_is_reported_with_its_address(primary: Server, standby: Server) -> None:
    message = f'{address_of(primary)}: FATAL: database "nowhere" does not exist; {address_of(standby)}: FATAL: database'

    with (
        pytest.raises(UnusableDatabase, match=re.escape(message)),
        connect(replace(settings(primary, standby), database="nowhere")),
    ):
        pass


def test_a_promoted_standby_is_preferred_to_an_old_primary(primary: Server, standby: Server) -> None:
    standby.promote()

    for order in ([primary, standby], [standby, primary]):
        assert find_primary(settings(*order)).postgres.port == standby.address["port"]


def test_an_old_primary_is_refused_while_the_promoted_one_is_unreachable(primary: Server, standby: Server) -> None:
    standby.promote()
    newest = find_primary(settings(primary, standby)).timeline
    standby.stop()

    with pytest.raises(NoPrimary, match=f"{address_of(primary)}: an older primary than was seen before"):
        find_primary(settings(primary, standby), min_timeline=newest)


async def test_a_single_host_is_not_searched_for_again(primary: Server, searches: list[Postgres]) -> None:
    pool = await open_database(settings(primary))
    for _ in range(3):
        with pytest.raises(PollsUnavailable):
            async with acquired(pool) as connection:
                await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    await pool.close()

    assert len(searches) == 1


async def test_concurrent_requests_share_one_search(pool: Database, searches: list[Postgres]) -> None:
    async def request() -> object:
        async with acquired(pool) as connection:
            return await connection.scalar("SELECT 1")

    pool.recheck_primary(pool.pool)

    assert await asyncio.gather(*(request() for _ in range(20))) == [1] * 20
    assert len(searches) == 1


async def test_all_connections_move_to_the_promoted_standby(pool: Database, primary: Server, standby: Server) -> None:
    recorder, events = Recorder(pool), listen(pool)
    async with aclosing(events), asyncio.timeout(20):
        while not isinstance(await anext(events), CacheInvalidated):
            pass
        assert isinstance((await recorder.record([Ballot(1, b"ann", (1,))], 5))[0], Counted)
        assert eventually(lambda: standby.execute("SELECT ballots FROM question") == [(1,)])
        standby.promote()
        set_read_only(primary, "on")
        try:
            with pytest.raises(VoteNotStored):
                await recorder.record([Ballot(1, b"bob", (1,))], 5)
            outcomes = await recorder.record([Ballot(1, b"bob", (1,))], 5)

            assert isinstance(outcomes[0], Counted)
            assert standby.execute("SELECT ballots FROM question") == [(2,)]
            async with acquired(pool) as connection:
                assert await connection.scalar("SELECT inet_server_port()") == standby.address["port"]
            while not isinstance(await anext(events), ListenerLost):
                pass
            while not isinstance(await anext(events), CacheInvalidated):
                pass
        finally:
            set_read_only(primary, "off")
            recorder.close()


async def test_polls_cached_from_the_old_primary_are_dropped(pool: Database, primary: Server, standby: Server) -> None:
    recorder = Recorder(pool)
    await recorder.record([Ballot(1, b"ann", (1,))], 5)
    standby.stop_following()
    primary.execute("INSERT INTO choice (id, question_id, choice_text) VALUES (10, 1, 'No')")
    await recorder.record([Ballot(1, b"bob", (10,))], 5)
    standby.promote()
    standby.execute("INSERT INTO choice (id, question_id, choice_text) VALUES (20, 1, 'Perhaps')")
    assert primary.execute("SELECT edition FROM question") == standby.execute("SELECT edition FROM question")

    pool.recheck_primary(pool.pool)
    outcomes = await recorder.record([Ballot(1, b"bob", (10,))], 5)
    recorder.close()

    assert isinstance(outcomes[0], InvalidBallot)


async def test_statements_that_hang_on_the_old_primary_are_aborted(
    pool: Database, primary: Server, standby: Server
) -> None:
    async def hang() -> None:
        async with acquired(pool) as connection:
            await connection.execute("SELECT pg_sleep(1)")

    hanging = asyncio.create_task(hang())
    async with acquired(pool):
        pass
    standby.promote()
    primary.freeze()
    try:
        pool.recheck_primary(pool.pool)
        await pool.connect_to_primary()

        with pytest.raises(PollsUnavailable):
            await asyncio.wait_for(hanging, 1)
        assert await is_writable(pool)
    finally:
        primary.thaw()


async def test_the_database_is_writable_again_after_a_promotion(
    pool: Database, primary: Server, standby: Server
) -> None:
    set_read_only(primary, "on")
    try:
        assert not await is_writable(pool)
        with pytest.raises(PollsUnavailable) as refused:
            await is_writable(pool)
        assert "read-only" in str(refused.value.__cause__)

        standby.promote()
        assert await is_writable(pool)
    finally:
        set_read_only(primary, "off")
