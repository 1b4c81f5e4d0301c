import asyncio

import pytest

from polls.domain.errors import TooManyVoters
from polls.live import rate_limit
from polls.live.rate_limit import MINUTE, VoteRateLimit

SCHOOL, HOME = "192.0.2.1", "2001:db8::/64"


@pytest.fixture
async def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the loop's clock shows, for a test to set."""
    moment = [1000.0]
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: moment[0])
    return moment


async def test_so_many_voters_come_in_and_the_next_waits_until_the_first_has_been_here_for_a_minute(
    now: list[float],
) -> None:
    gate = VoteRateLimit(2)
    gate.enter(SCHOOL, "ada")
    now[0] += 10.5
    gate.enter(SCHOOL, "ben")

    with pytest.raises(TooManyVoters) as refused:
        gate.enter(SCHOOL, "eve")

    assert refused.value.seconds == 50  # not 49: to come back too early would be in vain
    now[0] += 50
    gate.enter(SCHOOL, "eve")
    with pytest.raises(TooManyVoters):
        gate.enter(SCHOOL, "dan")


@pytest.mark.usefixtures("now")
async def test_who_votes_again_takes_nobodys_place() -> None:
    gate = VoteRateLimit(2)
    for _ in range(5):
        gate.enter(SCHOOL, "ada")

    gate.enter(SCHOOL, "ben")
    gate.enter(SCHOOL, "ada")


@pytest.mark.usefixtures("now")
async def test_networks_have_nothing_to_do_with_each_other() -> None:
    gate = VoteRateLimit(1)
    gate.enter(SCHOOL, "ada")

    gate.enter(HOME, "ben")

    with pytest.raises(TooManyVoters):
        gate.enter(SCHOOL, "eve")


async def test_memory_is_bounded_and_the_longest_unseen_are_forgotten(
    now: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limit, "MOST_REMEMBERED", 10)
    gate = VoteRateLimit(3)
    for network in range(100):
        for voter in range(3):
            gate.enter(str(network), str(voter))

    assert sum(map(len, gate._networks.values())) <= 10
    with pytest.raises(TooManyVoters):
        gate.enter("99", "another")
    gate.enter("0", "another")

    now[0] += MINUTE
    for network in range(99, 89, -1):
        gate.enter(str(network), "later")
    assert gate._remembered == sum(map(len, gate._networks.values())) <= 10
