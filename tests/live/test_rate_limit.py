"""The rate limits, with a clock that the test sets."""

import asyncio
import contextlib

import pytest

from polls.domain.errors import TooManyPolls, TooManyVoters
from polls.live.rate_limit import HOUR, MINUTE, PollRateLimit, RateLimit

SCHOOL, HOME = "192.0.2.1", "2001:db8::/64"


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The loop's time, for a test to set."""
    now = [1000.0]
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now[0])
    return now


async def test_a_network_over_its_limit_waits_until_its_first_voter_is_a_minute_old(clock: list[float]) -> None:
    rate_limit = RateLimit(2, TooManyVoters)
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
    rate_limit = RateLimit(2, TooManyVoters)
    for _ in range(5):
        rate_limit.check(SCHOOL, "ada")

    rate_limit.check(SCHOOL, "ben")
    rate_limit.check(SCHOOL, "ada")


@pytest.mark.usefixtures("clock")
async def test_each_network_has_its_own_limit() -> None:
    rate_limit = RateLimit(1, TooManyVoters)
    rate_limit.check(SCHOOL, "ada")

    rate_limit.check(HOME, "ben")

    with pytest.raises(TooManyVoters):
        rate_limit.check(SCHOOL, "eve")


async def test_memory_is_bounded_and_the_least_recent_networks_are_dropped_first(clock: list[float]) -> None:
    rate_limit = RateLimit(3, TooManyVoters, max_items=10)
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


async def test_one_network_stops_at_its_limit_of_polls_and_another_goes_on(clock: list[float]) -> None:
    rate_limit = PollRateLimit(20, 30)
    accepted = 0
    for number in range(1000):
        with contextlib.suppress(TooManyPolls):
            rate_limit.check(SCHOOL, str(number))
            accepted += 1
    assert accepted == 20

    rate_limit.check(HOME, "another")
    rate_limit.check(SCHOOL, "0")  # the same form again

    clock[0] += HOUR
    rate_limit.check(SCHOOL, "1000")


@pytest.mark.usefixtures("clock")
async def test_all_networks_together_stop_at_their_limit_of_polls() -> None:
    rate_limit = PollRateLimit(20, 30)
    for number in range(30):
        rate_limit.check(f"192.0.2.{number}", str(number))

    with pytest.raises(TooManyPolls) as refused:
        rate_limit.check(HOME, "another")
    assert refused.value.seconds == HOUR
    with pytest.raises(TooManyPolls):
        rate_limit.check("", "one of an unknown network")
