"""Faults of three hosts with Patroni, and what becomes of the votes meanwhile."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import TypeAlias

from tests.support.crowd import Crowd
from tests.support.patroni import is_whole, leader
from tests.support.processes import eventually
from tests.support.three_hosts import RECOVERY_TIMEOUT, Site
from tests.support.writers import Writers

Fault: TypeAlias = Callable[[Site, Crowd], None]

_CALM = 1.5  # seconds of voting before a fault, and after it


@dataclass(frozen=True, slots=True)
class Outcome:
    """The longest time without a counted vote in seconds, the votes acknowledged, those stored, the slowest response.

    `went_back` are writes that a host acknowledged after another one on a later timeline had done so.
    """

    gap: float
    acknowledged: int
    stored: int
    slowest: float
    went_back: list[str]


def survive(site: Site, fault: Fault) -> Outcome:
    """Let voters vote while `fault` breaks something and repairs it, and return what became of their votes."""
    site.move_leader()
    assert eventually(lambda: is_whole(site.hosts), RECOVERY_TIMEOUT)
    poll, choices = site.add_poll()
    with Writers([host.folder for host in site.hosts]) as writers:
        crowd = Crowd(["http://127.0.0.1"], {poll: choices}, concurrency=24, pause=0.1, machine=site.front)
        with crowd:
            assert eventually(lambda: crowd.total() > 50)
            time.sleep(_CALM)
            began = time.monotonic()
            fault(site, crowd)
            wait_for_votes(crowd)
            time.sleep(_CALM)
    assert eventually(lambda: is_whole(site.hosts), RECOVERY_TIMEOUT)
    site.verify()
    ((stored,),) = site.leader.execute(f"SELECT count(*) FROM ballot WHERE question_id = {poll}", "polls")
    return Outcome(longest_gap(crowd.moments, began), crowd.total(), stored, crowd.slowest, writers.went_back())


def wait_for_votes(crowd: Crowd) -> None:
    """Wait until votes are counted, a second after this call at the earliest."""
    from_then = time.monotonic() + 1
    assert eventually(lambda: crowd.moments[-1] > from_then, RECOVERY_TIMEOUT)


def longest_gap(moments: Sequence[float], began: float) -> float:
    """Return the longest time between two acknowledged votes, of which the second came after `began`."""
    return max(later - earlier for earlier, later in pairwise(moments) if later > began)


def switch_over(site: Site, crowd: Crowd) -> None:
    """Ask Patroni to make another host the leader."""
    old = site.leader
    old.ctl("switchover", "polls", f"--leader={old.name}", "--force")
    wait_for_votes(crowd)
    assert site.leader is not old


def kill_postgres(site: Site, crowd: Crowd) -> None:
    """Kill all processes of the leader's PostgreSQL."""
    old = site.leader
    old.kill_postgres()
    wait_for_votes(crowd)


def lose_leader(site: Site, crowd: Crowd) -> None:
    """Let the leader's machine vanish, and bring it back when another one is the leader."""
    old = site.leader
    site.lose(old)
    wait_for_votes(crowd)
    site.bring_back(old)


def lose_standby(site: Site, crowd: Crowd) -> None:
    """Let the machine of the synchronous standby vanish, and bring it back after ten seconds."""
    ((name, *_),) = site.leader.execute(
        "SELECT application_name FROM pg_stat_replication ORDER BY sync_state DESC LIMIT 1"
    )
    standby = next(host for host in site.hosts if host.name == name)
    site.lose(standby)
    time.sleep(10)
    wait_for_votes(crowd)
    site.bring_back(standby)


def cut_off_leader(site: Site, crowd: Crowd) -> None:
    """Cut the leader off from the other hosts until one of them is the leader; voters reach all of them."""
    old = site.leader
    site.cut_off(old)
    wait_for_votes(crowd)
    site.rejoin(old)


def lose_quorum(site: Site, crowd: Crowd) -> None:
    """Kill two of the three etcds, that on the leader's machine among them, for longer than `ttl`."""
    lost = [site.leader, site.others(site.leader)[0]]
    for host in lost:
        host.kill_etcd()
    time.sleep(25)
    wait_for_votes(crowd)
    for host in lost:
        host.start_etcd(site.hosts)


def lose_leader_for_good(site: Site, crowd: Crowd) -> None:
    """Let the leader's machine vanish, and end the wait for it by hand, by deleting its key in etcd."""
    old = site.leader
    site.lose(old)
    site.others(old)[0].delete_leader_key()
    wait_for_votes(crowd)
    site.bring_back(old)


def lose_cut_off_leader(site: Site, crowd: Crowd) -> None:
    """Cut the leader off for five seconds before its machine vanishes: it has votes that no standby has received."""
    site.cut_off(site.leader)
    time.sleep(5)
    lose_leader_for_good(site, crowd)


def hang_patroni(site: Site, crowd: Crowd) -> None:
    """Stop the leader's Patroni, while its PostgreSQL runs on, until another host has been the leader for a while."""
    old = site.leader
    old.freeze_patroni()
    leader(site.others(old))
    wait_for_votes(crowd)
    old.thaw_patroni()


FAULTS: Mapping[str, Fault] = MappingProxyType(
    {
        "switchover": switch_over,
        "the leader's PostgreSQL is killed": kill_postgres,
        "the leader's machine is lost": lose_leader,
        "the standby's machine is lost": lose_standby,
        "the leader is cut off from the others": cut_off_leader,
        "etcd's quorum is lost for 25 s": lose_quorum,
        "the leader's Patroni hangs": hang_patroni,
        "the leader's machine is lost, its key deleted by hand": lose_leader_for_good,
    }
)
