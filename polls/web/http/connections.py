"""The state of the connection that a request came over."""

import select

from aiohttp import web

# Linux reports a client that only closed its sending side, too; other systems report POLLHUP alone, unrequested.
_DISCONNECTED = getattr(select, "POLLRDHUP", select.POLLHUP)


def has_disconnected(request: web.Request) -> bool:
    """Return whether the client has closed its connection; asks the kernel, which may know before the event loop."""
    if request.transport is None or request.transport.is_closing():
        return True
    connection = select.poll()
    connection.register(request.transport.get_extra_info("socket"), _DISCONNECTED)
    return bool(connection.poll(0))
