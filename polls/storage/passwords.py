"""Passwords: validation, and hashing with argon2 in threads, a limited number at once."""

import asyncio
import unicodedata
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from zxcvbn import zxcvbn

from polls.domain.account import MAX_PASSWORD_LENGTH, MAX_USERNAME_LENGTH, MIN_PASSWORD_LENGTH
from polls.domain.errors import InvalidPassword, TooManyAttempts

MAX_CONCURRENT = 2  # each takes 64 MiB and a core for a tenth of a second
QUEUE_TIMEOUT = 5  # seconds that a sign-in waits for a slot
MAX_WAITING = 5  # for each origin, see `Passwords.slot`

_MIN_GUESSES = 10_000  # a password that is guessed in fewer is "common"
_ESTIMATED_LENGTH = 32  # characters that zxcvbn evaluates; its time grows with the square of their number


def validate_password(password: str, username: str) -> None:
    """Raise InvalidPassword if the password is too short, too long, or easily guessed.

    There are no other requirements (NIST SP 800-63B, section 3.1.1.2).
    """
    password = _normalized(password)
    if len(password) < MIN_PASSWORD_LENGTH:
        raise InvalidPassword("short")
    if len(password) > MAX_PASSWORD_LENGTH:
        raise InvalidPassword("long")
    if zxcvbn(password[:_ESTIMATED_LENGTH], user_inputs=[username[:MAX_USERNAME_LENGTH]])["guesses"] < _MIN_GUESSES:
        raise InvalidPassword("common")


class Passwords:
    """A hasher and verifier of passwords, in threads.

    Slots limit how many are hashed at once, and how many from each origin may wait for one.
    """

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._slots = asyncio.Semaphore(MAX_CONCURRENT)
        self._waiting: Counter[str] = Counter()
        self._dummy_hash = _dummy_hash(self._hasher)

    async def hash(self, password: str, username: str) -> str:
        """Return the hash of a password for `username`. Raises InvalidPassword, TooManyAttempts."""
        await asyncio.to_thread(validate_password, password, username)
        async with self.slot(username):
            return await self.rehash(password)

    @asynccontextmanager
    async def slot(self, origin: str) -> AsyncIterator[None]:
        """Wait for one of the slots, and hold it. Raises TooManyAttempts after QUEUE_TIMEOUT.

        Raises it at once if MAX_WAITING from `origin` (a client's network, or the account whose password is set) are
        waiting already: a client that tries made-up user names in bulk delays its own network only.
        """
        if self._waiting[origin] >= MAX_WAITING:
            raise TooManyAttempts(QUEUE_TIMEOUT)
        self._waiting[origin] += 1
        try:
            async with asyncio.timeout(QUEUE_TIMEOUT):
                await self._slots.acquire()
        except TimeoutError:
            raise TooManyAttempts(QUEUE_TIMEOUT) from None
        finally:
            self._waiting -= Counter([origin])
        try:
            yield
        finally:
            self._slots.release()

    async def rehash(self, password: str) -> str:
        """Return the hash of a password without validating it. The caller must hold a slot."""
        return await asyncio.to_thread(self._hasher.hash, _normalized(password))

    def is_outdated(self, password_hash: str) -> bool:
        """Return whether a password was hashed with former parameters."""
        return self._hasher.check_needs_rehash(password_hash)

    async def matches(self, password: str, password_hash: str | None) -> bool:
        """Return whether a password has this hash. The caller must hold a slot.

        Without a hash (None: no such account) it takes as long, so that timing doesn't reveal which accounts exist.
        """
        return await asyncio.to_thread(
            self._matches, password, self._dummy_hash if password_hash is None else password_hash
        )

    def _matches(self, password: str, password_hash: str) -> bool:
        try:
            return self._hasher.verify(password_hash, _normalized(password))
        except (VerificationError, InvalidHashError):
            return False


def _normalized(password: str) -> str:
    """Return the NFKC form, since keyboards compose characters differently, with lone surrogates replaced.

    A text that is too long for any password isn't normalized: that can take seconds.
    """
    text = unicodedata.normalize("NFKC", password) if len(password) <= MAX_PASSWORD_LENGTH else password
    return text.encode(errors="replace").decode()


def _dummy_hash(hasher: PasswordHasher) -> str:
    """Return a hash of zeros with the hasher's parameters, which matches no password."""
    costs = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    salt, digest = ("A" * -(-size * 4 // 3) for size in (hasher.salt_len, hasher.hash_len))
    return f"$argon2{hasher.type.name.lower()}$v=19${costs}${salt}${digest}"
