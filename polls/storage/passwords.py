"""Passwords: hashed with argon2, compared in threads, a few at once."""

import asyncio
import unicodedata
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from zxcvbn import zxcvbn

from polls.domain.account import FEWEST_IN_PASSWORD, MOST_IN_PASSWORD
from polls.domain.errors import TooManyAttempts, UnfitPassword

AT_ONCE = 2  # each takes 64 MiB and a core for a tenth of a second
PATIENCE = 5  # seconds that a sign-in waits for its turn
MOST_WAITING = 5  # at one place

_FEW_GUESSES = 10_000  # what is found so soon is common
_ESTIMATED = 72  # characters that zxcvbn looks at


class Match(Enum):
    """Whether a password is the right one, and whether it should be hashed anew, with today's parameters."""

    WRONG = 0
    RIGHT = 1
    OUTDATED = 2


def check_fitness(password: str, username: str) -> None:
    """Raise UnfitPassword for one that is too short, absurdly long, or among the first that anybody would guess.

    Nothing else is demanded (NIST SP 800-63B, section 3.1.1.2).
    """
    password = _normal(password)
    if len(password) < FEWEST_IN_PASSWORD:
        raise UnfitPassword("short")
    if len(password) > MOST_IN_PASSWORD:
        raise UnfitPassword("long")
    if zxcvbn(password[:_ESTIMATED], user_inputs=[username])["guesses"] < _FEW_GUESSES:
        raise UnfitPassword("common")


class Passwords:
    """Hashes and compares passwords without keeping the event loop waiting."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._waiting: Counter[str] = Counter()
        self._nobodys = _nobodys_hash(self._hasher)

    async def hash(self, password: str, username: str) -> str:
        """What is kept of a password for `username`. Raises UnfitPassword."""
        await asyncio.to_thread(check_fitness, password, username)
        async with self.turn(username):
            return await self.rehash(password)

    @asynccontextmanager
    async def turn(self, client_network: str) -> AsyncIterator[None]:
        """A turn to hash for somebody at `client_network`. Raises TooManyAttempts where too many wait, above all there.

        Whoever makes up user names by the hundred stands in their own way alone.
        """
        if self._waiting[client_network] >= MOST_WAITING:
            raise TooManyAttempts(PATIENCE)
        self._waiting[client_network] += 1
        try:
            async with asyncio.timeout(PATIENCE):
                await self._turns.acquire()
        except TimeoutError:
            raise TooManyAttempts(PATIENCE) from None
        finally:
            self._waiting -= Counter([client_network])
        try:
            yield
        finally:
            self._turns.release()

    async def rehash(self, password: str) -> str:
        """What is kept of a password that is known to fit, in a turn that its caller has."""
        return await asyncio.to_thread(self._hasher.hash, _normal(password))

    async def compare(self, password: str, kept: str | None) -> Match:
        """Whether `password` is the one that `kept` was made of, in a turn that its caller has.

        Where there is no such account (None), it takes as long.
        """
        return await asyncio.to_thread(self._compare, password, self._nobodys if kept is None else kept)

    def _compare(self, password: str, kept: str) -> Match:
        try:
            self._hasher.verify(kept, _normal(password))
        except (VerificationError, InvalidHashError):
            return Match.WRONG
        return Match.OUTDATED if self._hasher.check_needs_rehash(kept) else Match.RIGHT


def _normal(password: str) -> str:
    """The same characters, however a keyboard has put them together; what UTF-8 can't write is replaced."""
    return unicodedata.normalize("NFKC", password).encode(errors="replace").decode()


def _nobodys_hash(hasher: PasswordHasher) -> str:
    """A hash with today's parameters that no password has, made without hashing: of zeros."""
    costs = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    salt, digest = ("A" * -(-size * 4 // 3) for size in (hasher.salt_len, hasher.hash_len))
    return f"$argon2{hasher.type.name.lower()}$v=19${costs}${salt}${digest}"
