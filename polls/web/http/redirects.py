"""Redirect targets that clients name."""

import re

# From the root, and not `//host` or `/\host`, which browsers take for another site.
_OWN_ADDRESS = re.compile(r"/(?![/\\])[\x21-\x7e]*")


def local_path(brought: object, otherwise: str) -> str:
    """Where a visitor wants to go on, if that is an address of our own."""
    return brought if isinstance(brought, str) and _OWN_ADDRESS.fullmatch(brought) else otherwise
