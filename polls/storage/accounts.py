"""Accounts: who may sign in."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aiopg.sa
import psycopg2
import sqlalchemy as sa

from polls.domain.account import Account, fit, folded
from polls.domain.errors import LastAdmin, NoSuchAccount, SignInFailed, UnfitUsername, UsernameTaken
from polls.domain.permissions import Person
from polls.storage.history import record, to_account
from polls.storage.postgres.pool import Database, acquired, transaction
from polls.storage.tables import account, history, session

ACCOUNT = (account.c.id, account.c.username, account.c.created_at, account.c.disabled_at)


@dataclass(frozen=True, slots=True)
class VerifiedCredentials:
    """Somebody knew the password of `account`, of which `kept` was the hash then."""

    account: Account
    kept: str


@dataclass(frozen=True, slots=True)
class AccountSummary:
    """An account, how many browsers are signed in with it, and when it was signed in to last."""

    account: Account
    sessions: int
    signed_in_at: datetime | None


async def add(database: Database, person: Person, username: str, password_hash: str) -> Account:
    """A new account. Raises UnfitUsername, UsernameTaken."""
    name = fit(username)
    async with transaction(database) as connection:
        try:
            added = await connection.execute(
                account.insert().values(username=name, password_hash=password_hash).returning(*ACCOUNT)
            )
        except psycopg2.errors.UniqueViolation:
            raise UsernameTaken from None
        made = as_account(await added.first())
        await record(connection, person, to_account("account added", made))
    return made


async def find(database: Database, username: str) -> tuple[Account, str] | None:
    """The account called so, and the hash of its password."""
    try:
        name = fit(username)
    except UnfitUsername:
        return None
    wanted = sa.select(*ACCOUNT, account.c.password_hash).where(account.c.username == name)
    async with acquired(database) as connection:
        row = await (await connection.execute(wanted)).first()
    return (as_account(row), row.password_hash) if row else None


async def exist(database: Database) -> bool:
    """Whether anybody has an account."""
    async with acquired(database) as connection:
        return bool(await connection.scalar(sa.select(sa.exists().select_from(account))))


async def list_accounts(database: Database) -> list[AccountSummary]:
    """All accounts by name."""
    signed_in = (
        sa.select(sa.func.max(history.c.at))
        .where(history.c.subject == "account:" + account.c.username, history.c.deed == "signed in")
        .scalar_subquery()
    )
    sessions = sa.select(sa.func.count()).where(session.c.account_id == account.c.id).scalar_subquery()
    wanted = sa.select(*ACCOUNT, sessions.label("sessions"), signed_in.label("signed_in_at")).order_by(
        account.c.username
    )
    async with acquired(database) as connection:
        return [
            AccountSummary(as_account(row), row.sessions, row.signed_in_at)
            async for row in await connection.execute(wanted)
        ]


async def set_password(database: Database, person: Person, username: str, password_hash: str) -> None:
    """Change a password, and end the account's sessions. Raises NoSuchAccount."""
    async with transaction(database) as connection:
        changed = await _locked(connection, account.c.username == folded(username))
        await _set_password(connection, person, changed, password_hash)


async def change_own_password(
    database: Database, proof: VerifiedCredentials, password_hash: str, *, stays: bytes | None
) -> None:
    """Change the password that somebody has proved to know, and end their sessions but the one of the token `stays`.

    `stays` is the token's hash. Raises SignInFailed where the account is no longer as it was.
    """
    async with transaction(database) as connection:
        await check(connection, proof)
        await _set_password(connection, proof.account.person, proof.account, password_hash, stays=stays)


async def rehash_password(database: Database, account_id: int, before: str, password_hash: str) -> str:
    """Keep another hash of the same password, unless that was changed meanwhile; return the one that it has now."""
    async with acquired(database) as connection:
        rehashed = await connection.execute(
            account.update()
            .where(account.c.id == account_id, account.c.password_hash == before)
            .values(password_hash=password_hash)
        )
        return password_hash if rehashed.rowcount else before


async def check(connection: aiopg.sa.SAConnection, proof: VerifiedCredentials) -> None:
    """Raise SignInFailed unless the proof still holds, and let nobody change that before the commit.

    Asked before any session is touched: whoever ends sessions locks the account first, too.
    """
    still = sa.select(account.c.id).where(
        account.c.id == proof.account.id, account.c.password_hash == proof.kept, account.c.disabled_at.is_(None)
    )
    if await (await connection.execute(still.with_for_update())).first() is None:
        raise SignInFailed


async def disable(database: Database, person: Person, account_id: int) -> None:
    """Shut somebody out, at once. Raises NoSuchAccount, LastAdmin."""
    async with transaction(database) as connection:
        # Locked in the order of their ids: of two who shut out each other, the second waits and sees what came of it.
        enabled = sa.select(*ACCOUNT).where(account.c.disabled_at.is_(None)).order_by(account.c.id).with_for_update()
        others = [as_account(row) async for row in await connection.execute(enabled)]
        disabled = await _locked(connection, account.c.id == account_id)
        if disabled.disabled_at is not None:
            return
        if [other.id for other in others] == [account_id]:
            raise LastAdmin
        await connection.execute(
            account.update().where(account.c.id == account_id).values(disabled_at=sa.func.clock_timestamp())
        )
        await _end_sessions(connection, disabled)
        await record(connection, person, to_account("account disabled", disabled))


async def enable(database: Database, person: Person, account_id: int) -> None:
    """Let somebody in again. Raises NoSuchAccount."""
    async with transaction(database) as connection:
        enabled = await _locked(connection, account.c.id == account_id)
        if enabled.disabled_at is None:
            return
        await connection.execute(account.update().where(account.c.id == account_id).values(disabled_at=None))
        await record(connection, person, to_account("account enabled", enabled))


async def end_sessions(database: Database, person: Person, account_id: int) -> None:
    """Sign somebody out everywhere. Raises NoSuchAccount."""
    async with transaction(database) as connection:
        ended = await _locked(connection, account.c.id == account_id)
        await _end_sessions(connection, ended)
        await record(connection, person, to_account("sessions ended", ended))


def as_account(row: Any) -> Account:  # noqa: ANN401 - aiopg has no types
    """The account in a row of ACCOUNT."""
    return Account(row.id, row.username, row.created_at, row.disabled_at)


async def _locked(connection: aiopg.sa.SAConnection, which: sa.sql.ColumnElement) -> Account:
    row = await (await connection.execute(sa.select(*ACCOUNT).where(which).with_for_update())).first()
    if row is None:
        raise NoSuchAccount
    return as_account(row)


async def _set_password(
    connection: aiopg.sa.SAConnection, person: Person, of: Account, password_hash: str, *, stays: bytes | None = None
) -> None:
    await connection.execute(account.update().where(account.c.id == of.id).values(password_hash=password_hash))
    await _end_sessions(connection, of, stays=stays)
    await record(connection, person, to_account("password changed", of))


async def _end_sessions(connection: aiopg.sa.SAConnection, of: Account, *, stays: bytes | None = None) -> None:
    ended = session.delete().where(session.c.account_id == of.id)
    if stays is not None:
        ended = ended.where(session.c.token_hash != stays)
    await connection.execute(ended)
