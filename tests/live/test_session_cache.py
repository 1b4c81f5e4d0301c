"""The cache of sessions, whose tokens may be made up."""

import asyncio
from datetime import datetime

import pytest

from polls.domain.account import Account
from polls.domain.errors import PollsUnavailable
from polls.live.session_cache import SessionCache

RATE = 5
LIFETIME = 0.1


class FakeSessions:
    """The sessions in the database, and the tokens that were looked up."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.reads: list[str] = []
        self.is_unreachable = False

    async def find(self, token: str) -> Account | None:
        self.reads.append(token)
        await asyncio.sleep(0)
        if self.is_unreachable:
            raise PollsUnavailable
        return self.accounts.get(token)


@pytest.fixture
def ada(now: datetime) -> Account:
    return Account(1, "ada", now)


@pytest.fixture
def sessions(ada: Account) -> FakeSessions:
    sessions = FakeSessions()
    sessions.accounts["token"] = ada
    return sessions


@pytest.fixture
def cache(sessions: FakeSessions) -> SessionCache:
    return SessionCache(sessions.find, lifetime=LIFETIME, rate=RATE, max_sessions=10)


async def test_a_session_is_read_once_for_many_requests(
    cache: SessionCache, sessions: FakeSessions, ada: Account
) -> None:
    assert [await cache.find("token") for _ in range(100)] == [ada] * 100
    assert sessions.reads == ["token"]


async def test_a_session_that_has_ended_is_noticed_after_the_lifetime(
    cache: SessionCache, sessions: FakeSessions
) -> None:
    await cache.find("token")
    del sessions.accounts["token"]
    await asyncio.sleep(LIFETIME)

    assert await cache.find("token") is None


async def test_concurrent_requests_share_one_read_when_the_lifetime_is_over(
    cache: SessionCache, sessions: FakeSessions, ada: Account
) -> None:
    await cache.find("token")
    await asyncio.sleep(LIFETIME)

    assert await asyncio.gather(*(cache.find("token") for _ in range(100))) == [ada] * 100
    assert sessions.reads == ["token"] * 2


async def test_made_up_tokens_are_looked_up_at_a_limited_rate(cache: SessionCache, sessions: FakeSessions) -> None:
    assert {await cache.find(f"made up {number}") for number in range(1000)} == {None}
    assert len(sessions.reads) == RATE


async def test_an_unreachable_database_means_not_signed_in_until_the_next_request(
    cache: SessionCache, sessions: FakeSessions, ada: Account
) -> None:
    sessions.is_unreachable = True
    assert await cache.find("token") is None

    sessions.is_unreachable = False

    assert await cache.find("token") == ada
