"""Sessions: what ends them while they begin."""

from collections.abc import AsyncIterator

import pytest
from argon2 import PasswordHasher

from polls.config.settings import Postgres
from polls.domain.errors import SignInFailed, TooManyAttempts
from polls.domain.permissions import COMMAND_LINE
from polls.storage import accounts, sessions
from polls.storage.accounts import VerifiedCredentials
from polls.storage.passwords import Match, Passwords
from polls.storage.postgres.connect import Connection
from polls.storage.postgres.pool import Database, open_database

PASSWORD = "correct horse battery"


@pytest.fixture
async def engine(postgres: Postgres, database: Connection) -> AsyncIterator[Database]:  # noqa: ARG001 - it is emptied
    engine = await open_database(postgres)
    yield engine
    await engine.close()


@pytest.fixture
def passwords() -> Passwords:
    return Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest.fixture
async def proof(engine: Database, passwords: Passwords) -> VerifiedCredentials:
    """ada has just typed the right password."""
    await accounts.add(engine, COMMAND_LINE, "ada", await passwords.hash(PASSWORD, "ada"))
    await accounts.add(engine, COMMAND_LINE, "bob", await passwords.hash(PASSWORD, "bob"))
    return await sessions.authenticate(engine, passwords, "ada", PASSWORD, client_network="here")


async def test_a_proof_begins_a_session(engine: Database, proof: VerifiedCredentials) -> None:
    token = await sessions.begin(engine, proof, before=None)

    assert await sessions.find(engine, token) == proof.account


async def test_an_old_password_begins_no_session_after_it_was_changed(
    engine: Database, passwords: Passwords, proof: VerifiedCredentials
) -> None:
    await accounts.set_password(engine, COMMAND_LINE, "ada", await passwords.hash("another horse", "ada"))

    with pytest.raises(SignInFailed):
        await sessions.begin(engine, proof, before=None)
    with pytest.raises(SignInFailed):
        await accounts.change_own_password(engine, proof, "x", stays=None)


async def test_who_was_disabled_meanwhile_begins_no_session(engine: Database, proof: VerifiedCredentials) -> None:
    await accounts.disable(engine, COMMAND_LINE, proof.account.id)

    with pytest.raises(SignInFailed):
        await sessions.begin(engine, proof, before=None)


async def test_a_rehashed_password_is_a_proof_too(
    engine: Database, passwords: Passwords, proof: VerifiedCredentials
) -> None:
    today = Passwords(PasswordHasher(time_cost=2, memory_cost=16, parallelism=1))

    renewed = await sessions.authenticate(engine, today, "ada", PASSWORD, client_network="here")

    assert renewed.kept != proof.kept
    assert await sessions.begin(engine, renewed, before=None)
    async with passwords.turn("here"):
        assert await passwords.compare(PASSWORD, renewed.kept) is Match.OUTDATED


async def test_nobody_waits_behind_many_of_the_same_place(passwords: Passwords) -> None:
    passwords._waiting["flood"] = 5

    with pytest.raises(TooManyAttempts):
        async with passwords.turn("flood"):
            pass
    async with passwords.turn("elsewhere"):
        assert dict(passwords._waiting) == {"flood": 5}  # who has had their turn no longer waits
