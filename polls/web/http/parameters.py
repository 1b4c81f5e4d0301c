"""Parameters of URLs and forms: numbers, and paths to redirect to."""

import re

from polls.domain.slugs import CUSTOM_SLUG

NUMBER = "[1-9][0-9]{0,9}"  # ASCII digits, no leading zeros: a page has one URL
SLUG = f"(?:{NUMBER}|{CUSTOM_SLUG})"  # of a poll
MAX_NUMBER = 2**31 - 1  # the largest id: PostgreSQL's integer

_NUMBER = re.compile(NUMBER)
# An absolute path, but not `//host` or `/\host`, which browsers resolve to another site.
_LOCAL_PATH = re.compile(r"/(?![/\\])[\x21-\x7e]*")


def parse_number(text: str) -> int | None:
    """Return `text` as an integer, or None if it doesn't match NUMBER or is greater than MAX_NUMBER."""
    number = int(text) if _NUMBER.fullmatch(text) else None
    return number if number is not None and number <= MAX_NUMBER else None


def local_path(target: str, default: str) -> str:
    """Return `target` if it is a path on this site, else `default` (against open redirects)."""
    return target if _LOCAL_PATH.fullmatch(target) else default
