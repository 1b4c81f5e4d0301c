"""Three hosts on which Patroni promotes standbys: no fault loses or repeats an acknowledged vote."""

from collections.abc import Iterator

import pytest

from tests.support.crowd import RESPONSE_TIMEOUT
from tests.support.failover import (
    Fault,
    Outcome,
    cut_off_leader,
    kill_postgres,
    lose_cut_off_leader,
    lose_leader,
    lose_quorum,
    lose_standby,
    survive,
    switch_over,
)
from tests.support.patroni import is_whole
from tests.support.processes import eventually
from tests.support.three_hosts import Site, site

# Seconds without a counted vote. A lost host is waited for until `ttl` has passed, 20 seconds.
MAX_GAP = 8
MAX_GAP_OF_LOST_HOST = 40
ATTEMPTS = 3  # for the gap: a machine that runs other tests meanwhile may be slow once


@pytest.fixture(scope="module")
def three_hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("patroni")) as three_hosts:
        yield three_hosts


def assert_exact(outcome: Outcome) -> None:
    print(outcome)
    assert outcome.stored == outcome.acknowledged
    assert outcome.went_back == []
    assert outcome.slowest < RESPONSE_TIMEOUT


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("fault", "max_gap"),
    [
        (switch_over, MAX_GAP),
        (kill_postgres, MAX_GAP),
        (lose_quorum, MAX_GAP),
        (lose_standby, MAX_GAP),
        (lose_leader, MAX_GAP_OF_LOST_HOST),
        (cut_off_leader, MAX_GAP_OF_LOST_HOST),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_no_vote_is_lost_and_voting_goes_on(three_hosts: Site, fault: Fault, max_gap: int) -> None:
    gaps: list[float] = []
    while not gaps or (gaps[-1] >= max_gap and len(gaps) < ATTEMPTS):
        outcome = survive(three_hosts, fault)
        assert_exact(outcome)
        gaps.append(outcome.gap)

    assert gaps[-1] < max_gap, gaps


@pytest.mark.timeout(300)
def test_without_synchronous_mode_acknowledged_votes_are_lost(three_hosts: Site) -> None:
    """The negative control: the same voters and counts find the loss."""
    three_hosts.leader.ctl("edit-config", "polls", "--set", "synchronous_mode=false", "--force")
    try:
        assert eventually(
            lambda: (
                three_hosts.leader.execute("SHOW synchronous_standby_names") == [("",)] and is_whole(three_hosts.hosts)
            )
        )

        outcome = survive(three_hosts, lose_cut_off_leader)
    finally:
        three_hosts.leader.ctl("edit-config", "polls", "--set", "synchronous_mode=true", "--force")

    print(outcome)
    assert outcome.stored < outcome.acknowledged
