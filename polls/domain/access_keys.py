"""Access keys: secrets in links that let a browser do more with one poll. Only their hash is stored."""

import hashlib
import re
import secrets

# Crockford's base 32: digits and letters without i, l, o and u, which are mistaken for others.
_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"
_LENGTH = 26  # letters of 5 bits: at least 128 bits

PATTERN = f"[{_LETTERS}]{{{_LENGTH}}}"

_KEY = re.compile(PATTERN)
_LOOK_ALIKES = str.maketrans("ilo", "110")


def new_key() -> str:
    """Return a random key that matches PATTERN."""
    return "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))


def parse_key(text: str) -> str | None:
    """Return the key that was typed, perhaps in capitals or with a letter that looks alike, or None."""
    key = text.lower().translate(_LOOK_ALIKES)
    return key if _KEY.fullmatch(key) else None


def hash_of(key: str) -> bytes:
    """Return the SHA-256 hash of `key`. Keys are random, so a slow hash would protect them no better."""
    return hashlib.sha256(key.encode()).digest()
