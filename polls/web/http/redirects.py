"""Redirects to targets in parameters of requests."""

import re

# An absolute path, but not `//host` or `/\host`, which browsers resolve to another site.
_LOCAL_PATH = re.compile(r"/(?![/\\])[\x21-\x7e]*")


def local_path(target: object, default: str) -> str:
    """Return `target` if it is a path on this site, else `default` (against open redirects)."""
    return target if isinstance(target, str) and _LOCAL_PATH.fullmatch(target) else default
