"""What is known of the connection that a request came over."""

import select

from aiohttp import web

# Linux tells both; other systems know the second alone, which poll(2) reports without being asked.
_HUNG_UP = getattr(select, "POLLRDHUP", select.POLLHUP)


def has_hung_up(request: web.Request) -> bool:
    """Whether nobody waits for the answer any more: the kernel may know what the loop hasn't read yet."""
    if request.transport is None or request.transport.is_closing():
        return True
    connection = select.poll()
    connection.register(request.transport.get_extra_info("socket"), _HUNG_UP)
    return bool(connection.poll(0))
