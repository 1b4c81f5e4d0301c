"""Sessions and sign-in: a browser has a random token in a cookie, the database the token's hash."""

import hashlib
import secrets
from datetime import timedelta

import sqlalchemy as sa

from polls.domain.account import Account, fold_username
from polls.domain.errors import SignInFailed, TooManyAttempts
from polls.storage import accounts
from polls.storage.accounts import ACCOUNT, VerifiedCredentials, as_account
from polls.storage.history import record_account
from polls.storage.passwords import Passwords
from polls.storage.postgres.pool import Database, acquired, transaction
from polls.storage.postgres.statements import compiled
from polls.storage.tables import account, session, sign_in_failure

IDLE_TIMEOUT = timedelta(hours=8)
MAX_AGE = timedelta(days=7)  # from sign-in to the end of a session

_SEEN_RESOLUTION = timedelta(minutes=1)  # session.seen_at is updated at most this often
_TOKEN_BYTES = 32

FREE_FAILURES = 5  # failures without a wait
FAILURE_LIFETIME = timedelta(days=1)  # from the last failure until all are forgotten

# Each failure after the free ones doubles the wait: 10 seconds, 20, 40 ... 15 minutes.
_WAIT = f"""make_interval(
    secs => CASE
        WHEN failures < {FREE_FAILURES} THEN 0
        ELSE least(10 * 2 ^ least(failures - {FREE_FAILURES}, 10), 900)
    END
)"""

# Each attempt is counted as a failure before the password is compared, and the row is deleted if it was right: of a
# hundred guesses sent at once, only FREE_FAILURES are compared.
_COUNT_ATTEMPT = f"""
    INSERT INTO sign_in_failure AS known (who, failures, last_at)
    VALUES (%(who)s, 1, now())
    ON CONFLICT (who) DO UPDATE
    SET failures = known.failures + 1, last_at = now()
    WHERE known.last_at + {_WAIT.replace("failures", "known.failures")} <= now()
        OR known.last_at > now() + interval '1 minute' -- the clock has gone back
"""  # nosec B608 # constants of this module

_SECONDS_TO_WAIT = f"""
    SELECT greatest(1, ceil(extract(epoch FROM last_at + {_WAIT} - now())))::integer AS seconds
    FROM sign_in_failure
    WHERE who = %(who)s
"""  # nosec B608 # constants of this module


def _ago(duration: timedelta) -> sa.sql.ColumnElement:
    return sa.text(f"now() - interval '{duration.total_seconds():.0f} seconds'")


_IS_UNEXPIRED = sa.and_(session.c.seen_at > _ago(IDLE_TIMEOUT), session.c.began_at > _ago(MAX_AGE))

_FIND = compiled(
    sa.select(*ACCOUNT, (session.c.seen_at < _ago(_SEEN_RESOLUTION)).label("seen_at_is_due"))
    .join_from(session, account)
    .where(session.c.token_hash == sa.bindparam("token_hash"), account.c.disabled_at.is_(None), _IS_UNEXPIRED)
)


async def authenticate(
    database: Database, passwords: Passwords, username: str, password: str, *, client_network: str
) -> VerifiedCredentials:
    """Check a user name and a password, with a rate limit for each user name and `client_network`.

    Raises SignInFailed, TooManyAttempts, PollsUnavailable.
    """
    who = hashlib.sha256(f"{fold_username(username)}\0{client_network}".encode(errors="replace")).digest()
    async with passwords.slot(client_network):
        await _count_attempt(database, who)
        owner, password_hash = await accounts.find(database, username) or (None, None)
        is_right = await passwords.matches(password, password_hash)
        if owner is None or password_hash is None or owner.disabled_at is not None or not is_right:
            raise SignInFailed
        if passwords.is_outdated(password_hash):
            new_hash = await passwords.rehash(password)
            password_hash = await accounts.rehash_password(database, owner.id, password_hash, new_hash)
    async with acquired(database) as connection:
        await connection.execute(sign_in_failure.delete().where(sign_in_failure.c.who == who))
    return VerifiedCredentials(owner, password_hash)


async def begin(database: Database, credentials: VerifiedCredentials, *, replaces: str | None) -> str:
    """Begin a session, and return its token. Delete expired sessions, and the session of the token `replaces`.

    Raises SignInFailed if the account was disabled or got another password meanwhile.
    """
    token, owner = secrets.token_urlsafe(_TOKEN_BYTES), credentials.account
    ended = sa.not_(_IS_UNEXPIRED)
    if replaces is not None:
        ended = sa.or_(ended, session.c.token_hash == hash_token(replaces))
    async with transaction(database) as connection:
        await accounts.recheck(connection, credentials)
        await connection.execute(session.delete().where(ended))
        await connection.execute(session.insert().values(token_hash=hash_token(token), account_id=owner.id))
        await record_account(connection, owner.person, "signed in", owner)
    return token


async def find(database: Database, token: str) -> Account | None:
    """Return the account of a session, or None if the session has ended. Updates the time that it was last seen."""
    async with acquired(database) as connection:
        row = await (await connection.execute(_FIND, token_hash=hash_token(token))).first()
        if row is None:
            return None
        if row.seen_at_is_due:
            await connection.execute(
                session.update().where(session.c.token_hash == hash_token(token)).values(seen_at=sa.func.now())
            )
        return as_account(row)


async def end(database: Database, token: str) -> None:
    """End the session of a token."""
    async with acquired(database) as connection:
        await connection.execute(session.delete().where(session.c.token_hash == hash_token(token)))


def hash_token(token: str) -> bytes:
    """Return the hash of a token. Unlike a password, a token is random, so it needs neither salt nor a slow hash."""
    return hashlib.sha256(token.encode()).digest()


async def _count_attempt(database: Database, who: bytes) -> None:
    """Count an attempt as a failure. Raises TooManyAttempts if the wait after earlier failures isn't over."""
    async with acquired(database) as connection:
        await connection.execute(sign_in_failure.delete().where(sign_in_failure.c.last_at < _ago(FAILURE_LIFETIME)))
        inserted = await connection.execute(_COUNT_ATTEMPT, {"who": who})
        if inserted.rowcount == 0:
            raise TooManyAttempts(await connection.scalar(_SECONDS_TO_WAIT, {"who": who}) or 1)
