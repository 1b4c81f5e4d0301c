"""Slugs, the parts of URLs that identify polls: a poll's custom slug if it has one, else its id, a number."""

import secrets

CUSTOM_SLUG = "[a-z][a-z0-9-]{2,39}"  # never a number; as in the domain `address` of the database

# Without vowels there are no words by accident, and without look-alikes the slug can be typed from paper.
_LETTERS = "bcdfghjkmnpqrstvwxz"
_LETTERS_AND_DIGITS = _LETTERS + "23456789"
_LENGTH = 10


def new_slug() -> str:
    """Return a random slug of ten letters and digits, which can't be guessed: one of 10^14."""
    return secrets.choice(_LETTERS) + "".join(secrets.choice(_LETTERS_AND_DIGITS) for _ in range(_LENGTH - 1))
