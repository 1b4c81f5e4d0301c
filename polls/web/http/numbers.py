"""How numbers are written in addresses and forms: one way each, so that a page has one address."""

import re

NUMBER = "[1-9][0-9]{0,8}"  # ASCII digits, no zeros in front, within PostgreSQL's integer

_NUMBER = re.compile(NUMBER)


def number(text: str) -> int | None:
    """The number that `text` is, or None where it is none or is written in another way."""
    return int(text) if _NUMBER.fullmatch(text) else None
