"""Beginning a session while its account is changed, and the queue of sign-ins."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from argon2 import PasswordHasher

from polls.config.settings import Postgres
from polls.domain.errors import SignInFailed, TooManyAttempts
from polls.domain.permissions import COMMAND_LINE
from polls.storage import accounts, sessions
from polls.storage.accounts import VerifiedCredentials
from polls.storage.passwords import MAX_WAITING, Passwords
from polls.storage.postgres.connect import Connection
from polls.storage.postgres.pool import Database, open_database

PASSWORD = "correct horse battery"


@pytest.fixture
async def pool(postgres: Postgres, database: Connection) -> AsyncIterator[Database]:  # noqa: ARG001 - it is emptied
    pool = await open_database(postgres)
    yield pool
    await pool.close()


@pytest.fixture
def passwords() -> Passwords:
    return Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest.fixture
async def credentials(pool: Database, passwords: Passwords) -> VerifiedCredentials:
    """The credentials of ada, just verified."""
    await accounts.add(pool, COMMAND_LINE, "ada", await passwords.hash(PASSWORD, "ada"))
    await accounts.add(pool, COMMAND_LINE, "bob", await passwords.hash(PASSWORD, "bob"))
    return await sessions.authenticate(pool, passwords, "ada", PASSWORD, client_network="here")


async def test_verified_credentials_begin_a_session(pool: Database, credentials: VerifiedCredentials) -> None:
    token = await sessions.begin(pool, credentials, replaces=None)

    assert await sessions.find(pool, token) == credentials.account


async def test_an_old_password_begins_no_session_after_it_was_changed(
    pool: Database, passwords: Passwords, credentials: VerifiedCredentials
) -> None:
    await accounts.set_password(pool, COMMAND_LINE, "ada", await passwords.hash("another horse", "ada"))

    with pytest.raises(SignInFailed):
        await sessions.begin(pool, credentials, replaces=None)
    with pytest.raises(SignInFailed):
        await accounts.change_own_password(pool, credentials, "x", keep_session=None)


async def test_an_account_that_was_disabled_meanwhile_begins_no_session(
    pool: Database, credentials: VerifiedCredentials
) -> None:
    await accounts.disable(pool, COMMAND_LINE, credentials.account.id)

    with pytest.raises(SignInFailed):
        await sessions.begin(pool, credentials, replaces=None)


async def test_credentials_with_a_rehashed_password_begin_a_session(
    pool: Database, passwords: Passwords, credentials: VerifiedCredentials
) -> None:
    other_parameters = Passwords(PasswordHasher(time_cost=2, memory_cost=16, parallelism=1))

    renewed = await sessions.authenticate(pool, other_parameters, "ada", PASSWORD, client_network="here")

    assert renewed.password_hash != credentials.password_hash
    assert await sessions.begin(pool, renewed, replaces=None)
    async with passwords.slot("here"):
        assert await passwords.matches(PASSWORD, renewed.password_hash)
    assert passwords.is_outdated(renewed.password_hash)


@pytest.mark.usefixtures("credentials")
async def test_failures_of_a_time_that_never_came_make_nobody_wait(
    pool: Database, passwords: Passwords, database: Connection
) -> None:
    """The database's clock was a day ahead, and went back."""
    for _ in range(sessions.FREE_FAILURES):
        with pytest.raises(SignInFailed):
            await sessions.authenticate(pool, passwords, "ada", "wrong", client_network="here")
    with database.cursor() as cursor:
        cursor.execute("UPDATE sign_in_failure SET last_at = now() + interval '1 day'")

    assert await sessions.authenticate(pool, passwords, "ada", PASSWORD, client_network="here")


async def test_a_network_with_too_many_waiting_is_refused_and_others_are_not(passwords: Passwords) -> None:
    async def wait_for_slot(network: str) -> None:
        async with passwords.slot(network):
            pass

    async with passwords.slot("flood"), passwords.slot("flood"):  # all slots are taken, and do not count as waiting
        waiting = [asyncio.create_task(wait_for_slot("flood")) for _ in range(MAX_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(TooManyAttempts):
            await wait_for_slot("flood")
        waiting.append(asyncio.create_task(wait_for_slot("elsewhere")))
        await asyncio.sleep(0)
        assert not waiting[-1].done()

    await asyncio.gather(*waiting)
    await wait_for_slot("flood")
