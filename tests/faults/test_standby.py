"""A standby that takes over: of what was acknowledged nothing is missing, whatever its primary has kept to itself."""

import time
from pathlib import Path

from tests.faults.conftest import pair, several
from tests.faults.test_lost_database import first_vote_after
from tests.faults.test_lost_processes import answer, post
from tests.support import broken
from tests.support.crowd import Crowd
from tests.support.processes import Polls, command, eventually, serving
from tests.support.servers import Server
from tests.support.watchers import Watchers


def vote(polls: Polls, voter: int) -> int:
    return answer(post(polls, voter)).status


def ballots(server: Server) -> int:
    ((count,),) = server.execute("SELECT count(*)::int FROM ballot")
    return int(str(count))


def test_a_vote_that_its_primary_alone_has_is_not_acknowledged_though_it_is_sent_again(tmp_path: Path) -> None:
    """To write it again is what makes the difference: who looks whether it is there acknowledges it, and it is lost."""
    with pair(tmp_path) as (primary, standby):
        primary.wait_for_standby()
        config = several(primary, standby)
        with (
            serving(tmp_path, config=config) as polls,
            serving(tmp_path, config=config, program=(broken.__file__, "look")) as looking,
        ):
            assert vote(polls, 1) == 303
            standby.stop_following()
            assert vote(polls, 2) == 503

            primary.kill()
            primary.start()
            assert ballots(primary) == 2  # what has waited is committed now, here alone
            answers = set()
            while not waiting(primary):
                answers.add(vote(polls, 2))
            assert answers == {503}
            assert eventually(lambda: vote(looking, 2) == 303)

            primary.kill()
            standby.promote()
            assert ballots(standby) == 1
            assert eventually(lambda: vote(polls, 2) == 303)
            assert vote(polls, 1) == 303
            assert ballots(standby) == 2

        assert command(tmp_path, "verify", "--config=polls.yaml").returncode == 0


def waiting(primary: Server) -> int:
    """How many commits wait for the standby."""
    ((count,),) = primary.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
    return int(str(count))


def test_with_a_standby_that_nobody_waits_for_votes_that_were_acknowledged_are_lost(tmp_path: Path) -> None:
    """The tests of two hosts have to find it, or they would find nothing. Who watches sees what is true by now."""
    with (
        pair(tmp_path) as (primary, standby),
        serving(tmp_path, config=several(standby, primary)) as polls,
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
