"""Failover to a standby: no acknowledged vote is missing, whatever was committed on the old primary only."""

import time
from pathlib import Path

from tests.faults.conftest import pair, settings_of_hosts
from tests.faults.test_lost_database import first_vote_after
from tests.faults.test_lost_processes import post, read_answer
from tests.support import broken
from tests.support.crowd import Crowd
from tests.support.processes import Polls, command, eventually, serving
from tests.support.servers import Server
from tests.support.watchers import Watchers


def vote(polls: Polls, voter: int) -> int:
    return read_answer(post(polls, voter)).status


def ballots(server: Server) -> int:
    ((count,),) = server.execute("SELECT count(*)::int FROM ballot")
    return int(str(count))


def test_a_repeated_vote_that_only_the_primary_has_is_not_acknowledged(tmp_path: Path) -> None:
    """Repeated ballots are written again. Just looking for them, as the fault does, acknowledges a lost vote."""
    with pair(tmp_path) as (primary, standby):
        primary.wait_for_standby()
        config = settings_of_hosts(primary, standby)
        with (
            serving(tmp_path, config=config) as polls,
            serving(tmp_path, config=config, program=(broken.__file__, "look")) as faulty,
        ):
            assert vote(polls, 1) == 303
            standby.stop_following()
            assert vote(polls, 2) == 503

            primary.kill()
            primary.start()
            assert ballots(primary) == 2  # the waiting commit has succeeded, on the primary only
            statuses = set()
            while not waiting_commits(primary):
                statuses.add(vote(polls, 2))
            assert statuses == {503}
            assert eventually(lambda: vote(faulty, 2) == 303)

            primary.kill()
            standby.promote()
            assert ballots(standby) == 1
            assert eventually(lambda: vote(polls, 2) == 303)
            assert vote(polls, 1) == 303
            assert ballots(standby) == 2

        assert command(tmp_path, "verify", "--config=polls.yaml").returncode == 0


def waiting_commits(primary: Server) -> int:
    """Return the number of commits that wait for the standby."""
    ((count,),) = primary.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
    return int(str(count))


def test_with_an_asynchronous_standby_acknowledged_votes_are_lost(tmp_path: Path) -> None:
    """The negative control of test_two_hosts. Watchers see the totals that are left."""
    with (
        pair(tmp_path) as (primary, standby),
        serving(tmp_path, config=settings_of_hosts(standby, primary)) as polls,
        Watchers([polls.url], 10) as watchers,
    ):
        with Crowd([polls.url], pause=0.05) as crowd:
            assert eventually(lambda: crowd.total() > 200)
            standby.stop_following()
            time.sleep(1)
            primary.kill()
            standby.promote()

            assert first_vote_after(crowd, time.monotonic()) < 30
            time.sleep(0.5)

        assert ballots(standby) < crowd.total()
        assert eventually(lambda: watchers.votes == {ballots(standby)})
        assert command(tmp_path, "verify", "--config=polls.yaml").returncode == 0
