"""The rate limit on votes, with a clock that the test sets."""

import asyncio

import pytest

from polls.domain.errors import TooManyVoters
from polls.live.rate_limit import MINUTE, VoteRateLimit

SCHOOL, HOME = "192.0.2.1", "2001:db8::/64"


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The loop's time, for a test to set."""
    now = [1000.0]
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now[0])
    return now


async def test_a_network_over_its_limit_waits_until_its_first_voter_is_a_minute_old(clock: list[float]) -> None:
    rate_limit = VoteRateLimit(2)
    rate_limit.check(SCHOOL, "ada")
    clock[0] += 10.5
    rate_limit.check(SCHOOL, "ben")

    with pytest.raises(TooManyVoters) as refused:
        rate_limit.check(SCHOOL, "eve")

    assert refused.value.seconds == 50  # not 49: a retry that early would fail
    clock[0] += 50
    rate_limit.check(SCHOOL, "eve")
    with pytest.raises(TooManyVoters):
        rate_limit.check(SCHOOL, "dan")


@pytest.mark.usefixtures("clock")
async def test_a_voter_who_votes_again_is_counted_once() -> None:
    rate_limit = VoteRateLimit(2)
    for _ in range(5):
        rate_limit.check(SCHOOL, "ada")

    rate_limit.check(SCHOOL, "ben")
    rate_limit.check(SCHOOL, "ada")


@pytest.mark.usefixtures("clock")
async def test_each_network_has_its_own_limit() -> None:
    rate_limit = VoteRateLimit(1)
    rate_limit.check(SCHOOL, "ada")

    rate_limit.check(HOME, "ben")

    with pytest.raises(TooManyVoters):
        rate_limit.check(SCHOOL, "eve")


async def test_memory_is_bounded_and_the_least_recent_networks_are_dropped_first(clock: list[float]) -> None:
    rate_limit = VoteRateLimit(3, max_voters=10)
    for network in range(100):
        for voter in range(3):
            rate_limit.check(str(network), str(voter))

    assert rate_limit.size <= 10
    with pytest.raises(TooManyVoters):
        rate_limit.check("99", "another")
    rate_limit.check("0", "another")

    clock[0] += MINUTE
    for network in range(99, 89, -1):
        rate_limit.check(str(network), "later")
    assert rate_limit.size == 10
