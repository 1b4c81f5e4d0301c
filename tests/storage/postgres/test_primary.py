"""Several hosts: the one that takes votes is found, and everything leads there, also when it changes."""

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
from polls.domain.ballot import Ballot
from polls.domain.errors import NothingChosen, PollsUnavailable, VoteNotStored
from polls.domain.events import CacheInvalidated, ListenerLost
from polls.storage.ballots import Recorder
from polls.storage.checks.readiness import fitness
from polls.storage.listener import listen
from polls.storage.postgres import migrations, pool
from polls.storage.postgres.connect import UnusableDatabase, connect, libpq_environment
from polls.storage.postgres.pool import Database, acquired, open_database
from polls.storage.postgres.primary import ASK_TIMEOUT, Host, NoHost, find
from tests.support.processes import eventually, free_port
from tests.support.servers import USER, Server, running

HASTY = {"fsync": "off"}  # nobody pulls the plug


async def is_writable(engine: Database) -> bool:
    return (await fitness(engine, frozenset())).is_writable


@pytest.fixture(scope="module")
def primary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("primary"), HASTY) as server:
        yield server


@pytest.fixture
def standby(tmp_path: Path, primary: Server) -> Iterator[Server]:
    with running(tmp_path, HASTY, standby_of=primary) as server:
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
async def engine(poll: None, primary: Server, standby: Server) -> AsyncIterator[Database]:  # noqa: ARG001 - it is copied
    engine = await open_database(settings(primary, standby))
    yield engine
    await engine.close()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Postgres]:
    """What was asked for the host that takes votes."""
    asked: list[Postgres] = []

    def note(postgres: Postgres, *, since: int) -> Host:
        asked.append(postgres)
        return find(postgres, since=since)

    monkeypatch.setattr(pool, "find", note)
    return asked


@pytest.fixture
def silent() -> Iterator[str]:
    """A host that lets everybody in and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def where(server: Server) -> str:
    return "{host}:{port}".format_map(server.address)


def settings(*servers: Server | str) -> Postgres:
    names = tuple(server if isinstance(server, str) else where(server) for server in servers)
    return Postgres(host=names, user=USER, minsize=1, maxsize=3)


def turn_read_only(server: Server, read_only: str) -> None:
    server.execute(f"ALTER SYSTEM SET default_transaction_read_only = {read_only}")
    server.execute("SELECT pg_reload_conf()")
    assert eventually(lambda: server.execute("SHOW default_transaction_read_only") == [(read_only,)])


def test_the_one_that_takes_votes_is_found_wherever_it_stands(primary: Server, standby: Server, silent: str) -> None:
    nobody = f"127.0.0.1:{free_port()}"

    for order in ([primary, standby, nobody, silent], [silent, nobody, standby, primary]):
        assert find(settings(*order)).postgres.port == primary.address["port"]


def test_all_are_asked_at_the_same_time(primary: Server, silent: str) -> None:
    begun = monotonic()

    found = find(settings(*[silent] * 10, primary))

    assert found.postgres.port == primary.address["port"]
    assert monotonic() - begun < 5 * ASK_TIMEOUT


def test_commands_and_postgresqls_own_programs_are_led_to_it(primary: Server, standby: Server) -> None:
    with connect(settings(standby, primary)) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW transaction_read_only")
        assert cursor.fetchall() == [("off",)]

    assert libpq_environment(settings(standby, primary))["PGPORT"] == str(primary.address["port"])


async def test_where_none_takes_votes_one_line_says_what_each_has_answered(
    primary: Server, standby: Server, silent: str
) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    primary.execute("CREATE ROLE reader LOGIN; ALTER ROLE reader SET default_transaction_read_only = on")
    assert eventually(lambda: standby.execute("SELECT 1 FROM pg_roles WHERE rolname = 'reader'"))
    candidates = replace(settings(nobody, silent, standby, primary), user="reader")
    said = (
        f"can't reach PostgreSQL: no host takes votes: {nobody}: Connection refused; "
        f"{silent}: no answer within 1 second; {where(standby)}: a standby; {where(primary)}: read-only. "
        "Check what stands below postgres: in the configuration."
    )

    with pytest.raises(UnusableDatabase, match=f"^{re.escape(said)}$"), connect(candidates):
        pass
    with pytest.raises(UnusableDatabase, match=f"^{re.escape(said)}$"):
        libpq_environment(candidates)
    with pytest.raises(UnusableDatabase, match=f"^{re.escape(said)}$"):
        await open_database(candidates)


def test_why_a_host_lets_nobody_in_is_said_with_its_name(primary: Server, standby: Server) -> None:
    said = f'{where(primary)}: FATAL: database "nowhere" does not exist; {where(standby)}: FATAL: database'

    with (
        pytest.raises(UnusableDatabase, match=re.escape(said)),
        connect(replace(settings(primary, standby), database="nowhere")),
    ):
        pass


def test_a_promoted_standby_wins_over_an_old_primary_that_does_not_know(primary: Server, standby: Server) -> None:
    standby.promote()

    for order in ([primary, standby], [standby, primary]):
        assert find(settings(*order)).postgres.port == standby.address["port"]


def test_nobody_goes_back_to_an_old_primary_when_the_promoted_one_is_away(primary: Server, standby: Server) -> None:
    standby.promote()
    newest = find(settings(primary, standby)).timeline
    standby.stop()

    with pytest.raises(NoHost, match=f"{where(primary)}: an older primary than was seen before"):
        find(settings(primary, standby), since=newest)


async def test_a_host_that_is_alone_is_not_asked_again(primary: Server, asked: list[Postgres]) -> None:
    engine = await open_database(settings(primary))
    for _ in range(3):
        with pytest.raises(PollsUnavailable):
            async with acquired(engine) as connection:
                await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    await engine.close()

    assert len(asked) == 1


async def test_many_who_are_in_doubt_at_once_ask_once(engine: Database, asked: list[Postgres]) -> None:
    async def visit() -> object:
        async with acquired(engine) as connection:
            return await connection.scalar("SELECT 1")

    engine.recheck_primary(engine.pool)

    assert await asyncio.gather(*(visit() for _ in range(20))) == [1] * 20
    assert len(asked) == 1


async def test_everything_moves_when_the_primary_takes_no_votes_any_more(
    engine: Database, primary: Server, standby: Server
) -> None:
    recorder, listening = Recorder(engine), listen(engine)
    async with aclosing(listening), asyncio.timeout(20):
        while not isinstance(await anext(listening), CacheInvalidated):
            pass
        assert isinstance((await recorder.record([Ballot(1, b"ann", (1,))], 5))[0], int)
        assert eventually(lambda: standby.execute("SELECT ballots FROM question") == [(1,)])
        standby.promote()
        turn_read_only(primary, "on")
        try:
            with pytest.raises(VoteNotStored):
                await recorder.record([Ballot(1, b"bob", (1,))], 5)
            moved = await recorder.record([Ballot(1, b"bob", (1,))], 5)

            assert isinstance(moved[0], int)
            assert standby.execute("SELECT ballots FROM question") == [(2,)]
            async with acquired(engine) as connection:
                assert await connection.scalar("SELECT inet_server_port()") == standby.address["port"]
            while not isinstance(await anext(listening), ListenerLost):
                pass
            while not isinstance(await anext(listening), CacheInvalidated):
                pass
        finally:
            turn_read_only(primary, "off")
            recorder.close()


async def test_what_the_old_primary_alone_knew_of_a_poll_is_forgotten(
    engine: Database, primary: Server, standby: Server
) -> None:
    recorder = Recorder(engine)
    await recorder.record([Ballot(1, b"ann", (1,))], 5)
    standby.stop_following()
    primary.execute("INSERT INTO choice (id, question_id, choice_text) VALUES (10, 1, 'No')")
    await recorder.record([Ballot(1, b"bob", (10,))], 5)
    standby.promote()
    standby.execute("INSERT INTO choice (id, question_id, choice_text) VALUES (20, 1, 'Perhaps')")
    assert primary.execute("SELECT edition FROM question") == standby.execute("SELECT edition FROM question")

    engine.recheck_primary(engine.pool)
    outcomes = await recorder.record([Ballot(1, b"bob", (10,))], 5)
    recorder.close()

    assert isinstance(outcomes[0], NothingChosen)


async def test_what_hangs_at_the_old_primary_is_let_go(engine: Database, primary: Server, standby: Server) -> None:
    async def hang() -> None:
        async with acquired(engine) as connection:
            await connection.execute("SELECT pg_sleep(1)")

    hanging = asyncio.create_task(hang())
    async with acquired(engine):
        pass
    standby.promote()
    primary.freeze()
    try:
        engine.recheck_primary(engine.pool)
        await engine.connect_to_primary()

        with pytest.raises(PollsUnavailable):
            await asyncio.wait_for(hanging, 1)
        assert await is_writable(engine)
    finally:
        primary.thaw()


async def test_while_no_host_takes_votes_it_is_not_writable_and_then_it_is(
    engine: Database, primary: Server, standby: Server
) -> None:
    turn_read_only(primary, "on")
    try:
        assert not await is_writable(engine)
        with pytest.raises(PollsUnavailable) as refused:
            await is_writable(engine)
        assert "read-only" in str(refused.value.__cause__)

        standby.promote()
        assert await is_writable(engine)
    finally:
        turn_read_only(primary, "off")
