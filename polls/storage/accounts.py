"""Accounts of admins: adding, finding, disabling, passwords."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aiopg.sa
import psycopg2
import sqlalchemy as sa

from polls.domain.account import Account, fold_username, validate_username
from polls.domain.errors import AccountNotFound, InvalidUsername, LastAdmin, SignInFailed, UsernameTaken
from polls.domain.permissions import Person
from polls.storage.history import record_account
from polls.storage.postgres.pool import Database, acquired, transaction
from polls.storage.tables import account, history, session

ACCOUNT = (account.c.id, account.c.username, account.c.created_at, account.c.disabled_at)


@dataclass(frozen=True, slots=True)
class VerifiedCredentials:
    """Proof that the password of `account` was entered; `password_hash` was its hash at that time."""

    account: Account
    password_hash: str


@dataclass(frozen=True, slots=True)
class AccountSummary:
    """An account, the number of its sessions, and the time of its latest sign-in (None: never)."""

    account: Account
    sessions: int
    signed_in_at: datetime | None


async def add(database: Database, person: Person, username: str, password_hash: str) -> Account:
    """Add an account, and return it. Raises InvalidUsername, UsernameTaken."""
    name = validate_username(username)
    async with transaction(database) as connection:
        try:
            inserted = await connection.execute(
                account.insert().values(username=name, password_hash=password_hash).returning(*ACCOUNT)
            )
        except psycopg2.errors.UniqueViolation:
            raise UsernameTaken from None
        added = as_account(await inserted.first())
        await record_account(connection, person, "account added", added)
    return added


async def find(database: Database, username: str) -> tuple[Account, str] | None:
    """Return the account with a user name, and its password hash; None if it doesn't exist."""
    try:
        name = validate_username(username)
    except InvalidUsername:
        return None
    query = sa.select(*ACCOUNT, account.c.password_hash).where(account.c.username == name)
    async with acquired(database) as connection:
        row = await (await connection.execute(query)).first()
    return (as_account(row), row.password_hash) if row else None


async def any_exist(database: Database) -> bool:
    """Return whether there are any accounts."""
    async with acquired(database) as connection:
        return bool(await connection.scalar(sa.select(sa.exists().select_from(account))))


async def list_accounts(database: Database) -> list[AccountSummary]:
    """Return all accounts, ordered by user name."""
    latest_sign_in = (
        sa.select(sa.func.max(history.c.at))
        .where(history.c.subject == "account:" + account.c.username, history.c.deed == "signed in")
        .scalar_subquery()
    )
    sessions = sa.select(sa.func.count()).where(session.c.account_id == account.c.id).scalar_subquery()
    query = sa.select(*ACCOUNT, sessions.label("sessions"), latest_sign_in.label("signed_in_at"))
    async with acquired(database) as connection:
        return [
            AccountSummary(as_account(row), row.sessions, row.signed_in_at)
            async for row in await connection.execute(query.order_by(account.c.username))
        ]


async def set_password(database: Database, person: Person, username: str, password_hash: str) -> None:
    """Change a password, and end the account's sessions. Raises AccountNotFound."""
    async with transaction(database) as connection:
        owner = await _lock(connection, account.c.username == fold_username(username))
        await _set_password(connection, person, owner, password_hash)


async def change_own_password(
    database: Database, credentials: VerifiedCredentials, password_hash: str, *, keep_session: bytes | None
) -> None:
    """Change the password of `credentials.account`, and end its sessions but the one with token hash `keep_session`.

    Raises SignInFailed if the account was disabled or got another password meanwhile.
    """
    async with transaction(database) as connection:
        await recheck(connection, credentials)
        owner = credentials.account
        await _set_password(connection, owner.person, owner, password_hash, keep_session=keep_session)


async def rehash_password(database: Database, account_id: int, old_hash: str, new_hash: str) -> str:
    """Replace a password's hash. Return `new_hash`, or `old_hash` if the password was changed meanwhile."""
    async with acquired(database) as connection:
        updated = await connection.execute(
            account.update()
            .where(account.c.id == account_id, account.c.password_hash == old_hash)
            .values(password_hash=new_hash)
        )
        return new_hash if updated.rowcount else old_hash


async def recheck(connection: aiopg.sa.SAConnection, credentials: VerifiedCredentials) -> None:
    """Lock the account of `credentials`. Raises SignInFailed if it was disabled or got another password meanwhile.

    Call this before writing to `session`: functions that end sessions lock the account first, too.
    """
    unchanged = sa.select(account.c.id).where(
        account.c.id == credentials.account.id,
        account.c.password_hash == credentials.password_hash,
        account.c.disabled_at.is_(None),
    )
    if await (await connection.execute(unchanged.with_for_update())).first() is None:
        raise SignInFailed


async def disable(database: Database, person: Person, account_id: int) -> None:
    """Disable an account, and end its sessions. Raises AccountNotFound, LastAdmin."""
    async with transaction(database) as connection:
        # Lock all enabled accounts in id order: of two admins who disable each other at once, the second one waits here
        # and then finds that the other is the last.
        enabled = sa.select(account.c.id).where(account.c.disabled_at.is_(None)).order_by(account.c.id)
        enabled_ids = [row.id async for row in await connection.execute(enabled.with_for_update())]
        disabled = await _lock(connection, account.c.id == account_id)
        if disabled.disabled_at is not None:
            return
        if enabled_ids == [account_id]:
            raise LastAdmin
        await connection.execute(
            account.update().where(account.c.id == account_id).values(disabled_at=sa.func.clock_timestamp())
        )
        await _end_sessions(connection, disabled)
        await record_account(connection, person, "account disabled", disabled)


async def enable(database: Database, person: Person, account_id: int) -> None:
    """Enable a disabled account. Raises AccountNotFound."""
    async with transaction(database) as connection:
        enabled = await _lock(connection, account.c.id == account_id)
        if enabled.disabled_at is None:
            return
        await connection.execute(account.update().where(account.c.id == account_id).values(disabled_at=None))
        await record_account(connection, person, "account enabled", enabled)


async def end_sessions(database: Database, person: Person, account_id: int) -> None:
    """End all sessions of an account. Raises AccountNotFound."""
    async with transaction(database) as connection:
        owner = await _lock(connection, account.c.id == account_id)
        await _end_sessions(connection, owner)
        await record_account(connection, person, "sessions ended", owner)


def as_account(row: Any) -> Account:  # noqa: ANN401 - aiopg has no types
    """Return the account in a row with the columns ACCOUNT."""
    return Account(row.id, row.username, row.created_at, row.disabled_at)


async def _lock(connection: aiopg.sa.SAConnection, condition: sa.sql.ColumnElement) -> Account:
    row = await (await connection.execute(sa.select(*ACCOUNT).where(condition).with_for_update())).first()
    if row is None:
        raise AccountNotFound
    return as_account(row)


async def _set_password(
    connection: aiopg.sa.SAConnection,
    person: Person,
    owner: Account,
    password_hash: str,
    *,
    keep_session: bytes | None = None,
) -> None:
    await connection.execute(account.update().where(account.c.id == owner.id).values(password_hash=password_hash))
    await _end_sessions(connection, owner, keep_session=keep_session)
    await record_account(connection, person, "password changed", owner)


async def _end_sessions(
    connection: aiopg.sa.SAConnection, owner: Account, *, keep_session: bytes | None = None
) -> None:
    is_ended = session.c.account_id == owner.id, session.c.token_hash.is_distinct_from(keep_session)
    await connection.execute(session.delete().where(*is_ended))
