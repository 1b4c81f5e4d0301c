"""What clients expect before they send a body (RFC 9110, section 10.1.1)."""

from aiohttp import HttpVersion11, web


async def continue_if_asked(request: web.Request) -> None:
    """Tell a client that waits for it to go on, and pass over every other expectation.

    aiohttp's own handler refuses others outside of our error pages, and fails over one that isn't text.
    """
    if request.version >= HttpVersion11 and request.headers["Expect"].lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # What was written is no part of the response.
        request.writer.output_size = 0
