"""PostgreSQL killed, stopped, frozen or blocked by locks, under load."""

import time
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest

from tests.faults.conftest import CrowdOfMethods, Expect, Serve, readiness
from tests.support.crowd import Crowd
from tests.support.processes import eventually
from tests.support.servers import Server

RECOVERY_TIMEOUT = 5  # seconds from the database's return to the next counted vote


def first_vote_after(crowd: Crowd, moment: float) -> float:
    """Return the seconds from `moment` to the next acknowledged vote."""
    assert eventually(lambda: crowd.moments and crowd.moments[-1] > moment)
    return next(counted for counted in list(crowd.moments) if counted > moment) - moment


@pytest.mark.parametrize(
    ("break_it", "repair", "seconds"),
    [(Server.kill, Server.start, 1), (Server.stop, Server.start, 10), (Server.freeze, Server.thaw, 5)],
    ids=["killed", "stopped", "frozen"],
)
def test_voting_recovers_after_the_database_was_unreachable(
    serve: Serve,
    server: Server,
    expect_exact: Expect,
    break_it: Callable[[Server], None],
    repair: Callable[[Server], None],
    seconds: int,
) -> None:
    with serve(methods=True) as polls, CrowdOfMethods([polls.url]) as crowd:
        time.sleep(1)
        break_it(server)
        time.sleep(seconds)
        repair(server)
        repaired = time.monotonic()

        assert first_vote_after(crowd, repaired) < RECOVERY_TIMEOUT
        time.sleep(1)
        for _ in range(10):  # the pool has recovered, too
            with urllib.request.urlopen(f"{polls.url}/poll/1/results", timeout=10) as page:
                assert page.status == 200

    assert crowd.answers.keys() == {303, 503}
    expect_exact(crowd)


def test_a_vote_without_a_cookie_while_the_database_is_down_gets_one_and_keeps_its_choice(
    serve: Serve, server: Server
) -> None:
    with serve() as polls:
        server.stop()
        request = urllib.request.Request(f"{polls.url}/poll/1/vote", b"choice=2")
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=10)
        with refused.value as answer:
            page = answer.read().decode()
        server.start()

        request.add_header("Cookie", answer.headers["Set-Cookie"].split(";")[0])
        assert 'name="choice" value="2"' in page
        for _ in range(2):
            with urllib.request.urlopen(request, timeout=10) as answer:
                assert answer.status == 200

    assert answer.status == 200
    assert server.execute("SELECT marks FROM ballot") == [([2],)]


def test_a_thousand_voters_have_a_thousand_ballots_after_the_database_was_killed_twice(
    serve: Serve, server: Server, expect_exact: Expect
) -> None:
    with (
        serve(methods=True) as one,
        serve(poll=False) as other,
        CrowdOfMethods([one.url, other.url], voters=1000, hangs_up=True) as crowd,
    ):
        for count in (200, 600):
            assert eventually(lambda count=count: crowd.total() >= count)  # type: ignore[misc]
            server.kill()
            time.sleep(0.5)
            server.start()

    assert crowd.answers[503] > 0
    assert server.execute("SELECT count(*) FROM ballot") == [(1000,)]
    expect_exact(crowd)


def test_votes_for_a_locked_choice_get_503_until_the_lock_is_released(
    serve: Serve, server: Server, expect_exact: Expect
) -> None:
    with serve() as polls, Crowd([polls.url]) as crowd:
        time.sleep(0.5)
        with server.connect() as connection, connection.cursor() as cursor:
            cursor.execute("BEGIN; SELECT FROM choice FOR UPDATE")
            time.sleep(4)
            assert crowd.answers[503] > 0
            cursor.execute("COMMIT")
        released = time.monotonic()

        assert first_vote_after(crowd, released) < RECOVERY_TIMEOUT
        time.sleep(0.5)

    assert crowd.answers.keys() == {303, 503}
    expect_exact(crowd)


def test_a_commit_that_waits_for_a_missing_standby_gets_503_in_time(
    serve: Serve, server: Server, expect_exact: Expect
) -> None:
    with serve() as polls:
        server.execute("ALTER SYSTEM SET synchronous_standby_names = 'missing'")
        server.execute("SELECT pg_reload_conf()")
        time.sleep(1)  # until all backends have reloaded their settings
        with Crowd([polls.url]) as crowd:
            time.sleep(3)
            # A cancelled wait lets the commit succeed on the primary only; PostgreSQL just sends a warning.
            for _ in range(10):
                server.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
                time.sleep(0.2)
            assert crowd.total() == 0
            assert crowd.answers[503] > 0
            assert readiness(polls.url) == (503, "not writable")
            server.execute("ALTER SYSTEM RESET synchronous_standby_names")
            server.execute("SELECT pg_reload_conf()")
            repaired = time.monotonic()

            assert first_vote_after(crowd, repaired) < RECOVERY_TIMEOUT
            assert readiness(polls.url) == (200, "writable")

    expect_exact(crowd)
