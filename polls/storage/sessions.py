"""Sessions: who has signed in, and in which browser. A browser keeps a random token, the database its hash."""

import hashlib
import secrets
from datetime import timedelta

import sqlalchemy as sa

from polls.domain.account import Account, folded
from polls.domain.errors import SignInFailed, TooManyAttempts
from polls.storage import accounts
from polls.storage.accounts import ACCOUNT, VerifiedCredentials, as_account
from polls.storage.history import record, to_account
from polls.storage.passwords import Match, Passwords
from polls.storage.postgres.pool import Database, acquired, compiled, transaction
from polls.storage.tables import account, session, sign_in_failure

IDLE = timedelta(hours=8)  # without a request
LONGEST = timedelta(days=7)

_NOTED = timedelta(minutes=1)  # how exactly it is known when a session was last seen
_TOKEN_BYTES = 32

FREE_FAILURES = 5
FORGOTTEN = timedelta(days=1)  # after which failures are

# After the free failures, a wait that doubles: 10 seconds, 20, 40 ... 15 minutes.
_WAIT = f"""make_interval(
    secs => CASE
        WHEN failures < {FREE_FAILURES} THEN 0
        ELSE least(10 * 2 ^ least(failures - {FREE_FAILURES}, 10), 900)
    END
)"""

# Counted before it is looked at, and forgotten if it was right: of a hundred guesses at once, five are looked at.
_ADMIT = f"""
    INSERT INTO sign_in_failure AS earlier (who, failures, last_at)
    VALUES (%(who)s, 1, now())
    ON CONFLICT (who) DO UPDATE
    SET failures = earlier.failures + 1, last_at = now()
    WHERE earlier.last_at + {_WAIT.replace("failures", "earlier.failures")} <= now()
"""  # noqa: S608 - of our own words

_WAITING = f"""
    SELECT greatest(1, ceil(extract(epoch FROM last_at + {_WAIT} - now())))::integer AS seconds
    FROM sign_in_failure
    WHERE who = %(who)s
"""  # noqa: S608 - of our own words

_IS_ALIVE = sa.and_(
    session.c.seen_at > sa.func.now() - sa.bindparam("idle", IDLE, type_=sa.Interval),
    session.c.began_at > sa.func.now() - sa.bindparam("longest", LONGEST, type_=sa.Interval),
)

_FIND = compiled(
    sa.select(*ACCOUNT, (session.c.seen_at < sa.func.now() - sa.bindparam("noted", type_=sa.Interval)).label("is_due"))
    .join_from(session, account)
    .where(session.c.token_hash == sa.bindparam("token_hash"), account.c.disabled_at.is_(None), _IS_ALIVE)
)


async def authenticate(
    database: Database, passwords: Passwords, username: str, password: str, *, client_network: str
) -> VerifiedCredentials:
    """Prove that these belong together; `client_network` is where they come from: who fails too often there has to wait.

    Raises SignInFailed, TooManyAttempts, PollsUnavailable.
    """
    who = hashlib.sha256(f"{folded(username)}\0{client_network}".encode(errors="replace")).digest()
    async with passwords.turn(client_network):
        await _admit(database, who)
        found = await accounts.find(database, username)
        known, kept = found or (None, None)
        match = await passwords.compare(password, kept)
        if known is None or kept is None or known.disabled_at is not None or match is Match.WRONG:
            raise SignInFailed
        if match is Match.OUTDATED:
            kept = await accounts.rehash_password(database, known.id, kept, await passwords.rehash(password))
    async with acquired(database) as connection:
        await connection.execute(sign_in_failure.delete().where(sign_in_failure.c.who == who))
    return VerifiedCredentials(known, kept)


async def begin(database: Database, proof: VerifiedCredentials, *, before: str | None) -> str:
    """Begin a session, and return its token; the session of the token `before` ends, and those that are too old.

    Raises SignInFailed where the account was disabled meanwhile, or got another password.
    """
    token, of = secrets.token_urlsafe(_TOKEN_BYTES), proof.account
    over = sa.not_(_IS_ALIVE)
    if before is not None:
        over = sa.or_(over, session.c.token_hash == hashed(before))
    async with transaction(database) as connection:
        await accounts.check(connection, proof)
        await connection.execute(session.delete().where(over))
        await connection.execute(session.insert().values(token_hash=hashed(token), account_id=of.id))
        await record(connection, of.person, to_account("signed in", of))
    return token


async def find(database: Database, token: str) -> Account | None:
    """Whose session it is, or None where it has ended."""
    async with acquired(database) as connection:
        found = await connection.execute(_FIND, token_hash=hashed(token), noted=_NOTED, idle=IDLE, longest=LONGEST)
        row = await found.first()
        if row is None:
            return None
        if row.is_due:
            await connection.execute(
                session.update().where(session.c.token_hash == hashed(token)).values(seen_at=sa.func.now())
            )
        return as_account(row)


async def end(database: Database, token: str) -> None:
    """Sign out."""
    async with acquired(database) as connection:
        await connection.execute(session.delete().where(session.c.token_hash == hashed(token)))


def hashed(token: str) -> bytes:
    """What the database keeps of a token. It is as random as a key, so that a plain hash will do."""
    return hashlib.sha256(token.encode()).digest()


async def _admit(database: Database, who: bytes) -> None:
    """Count one more failure, for the time being. Raises TooManyAttempts."""
    async with acquired(database) as connection:
        await connection.execute(sign_in_failure.delete().where(sign_in_failure.c.last_at < sa.func.now() - FORGOTTEN))
        counted = await connection.execute(_ADMIT, {"who": who})
        if counted.rowcount == 0:
            raise TooManyAttempts(await connection.scalar(_WAITING, {"who": who}) or 1)
