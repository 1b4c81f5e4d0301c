"""PostgreSQL that is killed, stopped, frozen, held up or full, while a crowd votes."""

import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.conftest import Expect, Serve
from tests.support.crowd import Crowd
from tests.support.processes import eventually
from tests.support.servers import Server, running

SOON = 5  # seconds in which polls has recovered, counted from the database's return


def first_vote_after(crowd: Crowd, moment: float) -> float:
    """Seconds from `moment` until a vote was counted again."""
    assert eventually(lambda: crowd.moments and crowd.moments[-1] > moment)
    return next(counted for counted in list(crowd.moments) if counted > moment) - moment


@pytest.mark.parametrize(
    ("take_away", "bring_back", "seconds"),
    [(Server.kill, Server.start, 1), (Server.stop, Server.start, 10), (Server.freeze, Server.thaw, 5)],
    ids=["killed", "stopped", "frozen"],
)
def test_the_database_goes_away_and_comes_back(
    serve: Serve,
    server: Server,
    expect_exact: Expect,
    take_away: Callable[[Server], None],
    bring_back: Callable[[Server], None],
    seconds: int,
) -> None:
    with serve() as polls, Crowd([polls.url]) as crowd:
        time.sleep(1)
        take_away(server)
        time.sleep(seconds)
        bring_back(server)
        back = time.monotonic()

        assert first_vote_after(crowd, back) < SOON
        time.sleep(1)
        for _ in range(10):  # the pool has healed, too
            with urllib.request.urlopen(f"{polls.url}/poll/1/results", timeout=10) as page:
                assert page.status == 200

    assert crowd.answers.keys() == {303, 503}
    expect_exact(crowd)


def test_who_votes_without_a_cookie_while_the_database_is_away_gets_one_and_keeps_their_choice(
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


def test_a_thousand_voters_end_with_a_thousand_ballots_though_the_database_is_killed_twice(
    serve: Serve, server: Server, expect_exact: Expect
) -> None:
    with serve() as one, serve() as other, Crowd([one.url, other.url], voters=1000, hasty=True) as crowd:
        for share in (200, 600):
            assert eventually(lambda share=share: crowd.total() >= share)  # type: ignore[misc]
            server.kill()
            time.sleep(0.5)
            server.start()

    assert crowd.answers[503] > 0
    assert server.execute("SELECT count(*) FROM ballot") == [(1000,)]
    expect_exact(crowd)


def test_a_lock_on_the_hot_choice_is_answered_with_503_and_voting_goes_on_after_it(
    serve: Serve, server: Server, expect_exact: Expect
) -> None:
    with serve() as polls, Crowd([polls.url]) as crowd:
        time.sleep(0.5)
        with server.connect() as somebody, somebody.cursor() as cursor:
            cursor.execute("BEGIN; SELECT FROM choice FOR UPDATE")
            time.sleep(4)
            assert crowd.answers[503] > 0
            cursor.execute("COMMIT")
        free = time.monotonic()

        assert first_vote_after(crowd, free) < SOON
        time.sleep(0.5)

    assert crowd.answers.keys() == {303, 503}
    expect_exact(crowd)


def test_a_commit_that_waits_for_a_standby_is_answered_in_time_and_never_with_success(
    serve: Serve, server: Server, expect_exact: Expect
) -> None:
    with serve() as polls:
        server.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        server.execute("SELECT pg_reload_conf()")
        time.sleep(1)  # until all of the server has heard of it
        with Crowd([polls.url]) as crowd:
            time.sleep(3)
            # Somebody cancels the waiting commits: they succeed here alone, and only a warning tells.
            for _ in range(10):
                server.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
                time.sleep(0.2)
            assert crowd.total() == 0
            assert crowd.answers[503] > 0
            server.execute("ALTER SYSTEM RESET synchronous_standby_names")
            server.execute("SELECT pg_reload_conf()")
            back = time.monotonic()

            assert first_vote_after(crowd, back) < SOON

    expect_exact(crowd)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[None]:
    """A disk of its own for `folder`, in memory."""
    try:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], check=True, capture_output=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no disk can be mounted here: {error}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(ballast: Path, seconds: float) -> None:
    """Take all the room on a disk for a while, also what others give back meanwhile."""
    until = time.monotonic() + seconds
    with ballast.open("wb", buffering=0) as file:
        while time.monotonic() < until:
            try:
                file.write(bytes(65536))
            except OSError:
                time.sleep(0.02)


class TestWithASmallDisk:
    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[Server]:
        folder = tmp_path / "disk"
        folder.mkdir()
        with small_disk(folder, 150), running(folder, {"min_wal_size": "32MB", "max_wal_size": "32MB"}) as server:
            yield server

    def test_the_disk_is_full_for_four_seconds(self, serve: Serve, server: Server, expect_exact: Expect) -> None:
        ballast = server.data.parent / "ballast"
        with serve() as polls, Crowd([polls.url]) as crowd:
            time.sleep(1)
            begun = time.monotonic()
            fill(ballast, seconds=4)
            ballast.unlink()
            if not eventually(lambda: server.runs and bool(crowd.moments and crowd.moments[-1] > begun + 4), 3):
                server.kill()
                server.start()
            back = time.monotonic()

            assert first_vote_after(crowd, back) < SOON
            time.sleep(0.5)

        assert crowd.answers[503] > 0
        expect_exact(crowd)
