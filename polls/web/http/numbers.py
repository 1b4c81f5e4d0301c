"""Numbers in URLs and forms, in one spelling each, so that a page has one URL."""

import re

NUMBER = "[1-9][0-9]{0,8}"  # ASCII digits, no leading zeros, within PostgreSQL's integer

_NUMBER = re.compile(NUMBER)


def parse_number(text: str) -> int | None:
    """Return `text` as an integer, or None if it doesn't match NUMBER."""
    return int(text) if _NUMBER.fullmatch(text) else None
