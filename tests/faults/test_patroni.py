"""Three hosts on which Patroni promotes standbys: no fault loses or repeats an acknowledged vote."""

import re
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
from tests.support.processes import command, eventually, write
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


def doctor(three_hosts: Site, hosts: int, role: str) -> list[str]:
    """Return what `polls doctor` says about Patroni, with this many hosts named, the leader among them."""
    named = sorted(three_hosts.hosts, key=lambda host: host is not three_hosts.leader)[:hosts]
    postgres = {
        "host": [host.machine.address for host in named],
        "user": role,
        "password": "polls",
        "database": "polls",
    }
    folder = three_hosts.folder / "doctor"
    folder.mkdir(exist_ok=True)
    file = write(folder, {"postgres": postgres})
    done = three_hosts.front.call(lambda: command(folder, "doctor", f"--config={file}"))
    return [line for line in done.stdout.splitlines() if " Patroni: " in line]


def test_doctor_recognizes_patroni_and_notes_what_endangers_votes(three_hosts: Site) -> None:
    assert eventually(lambda: is_whole(three_hosts.hosts))
    (sound,) = doctor(three_hosts, 3, "polls")
    three_hosts.set_cluster(
        synchronous_mode_strict="false", ttl=60, **{"postgresql.parameters.wal_sender_timeout": "60s"}
    )
    try:
        assert eventually(lambda: three_hosts.leader.execute("SHOW wal_sender_timeout") == [("1min",)])
        notes = doctor(three_hosts, 2, "polls")
    finally:
        three_hosts.set_cluster(
            synchronous_mode_strict="true", ttl=20, **{"postgresql.parameters.wal_sender_timeout": "3s"}
        )

    assert sound == "ok    Patroni: it promotes synchronous standbys only; all 3 hosts are named in postgres.host"
    assert [re.sub(r"[.:,] .*", "", line.removeprefix("note  Patroni: ")) for line in notes] == [
        "postgres.host names 2 of 3 hosts",
        "wal_sender_timeout is 60 s (0",
        "a failover can lose counted votes",
        "ttl is 60 s",
    ]


@pytest.mark.timeout(300)
def test_without_synchronous_mode_acknowledged_votes_are_lost(three_hosts: Site) -> None:
    """The negative control: the same voters and counts find the loss."""
    three_hosts.set_cluster(synchronous_mode="false")
    try:
        assert eventually(
            lambda: (
                three_hosts.leader.execute("SHOW synchronous_standby_names") == [("",)] and is_whole(three_hosts.hosts)
            )
        )

        outcome = survive(three_hosts, lose_cut_off_leader)
    finally:
        three_hosts.set_cluster(synchronous_mode="true")

    print(outcome)
    assert outcome.stored < outcome.acknowledged
