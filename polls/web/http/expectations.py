"""The Expect header (RFC 9110, section 10.1.1)."""

from aiohttp import HttpVersion11, web


async def send_continue(request: web.Request) -> None:
    """Send "100 Continue" to a client that waits for it before it sends its body; ignore every other expectation.

    aiohttp's own handler rejects other expectations without our error page, and fails on one that isn't text.
    """
    if request.version >= HttpVersion11 and request.headers["Expect"].lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # These bytes are not part of the response, whose size is logged.
        request.writer.output_size = 0
