"""Watching: how a poll stands, told over a WebSocket as it changes."""

import asyncio
import json
from contextlib import suppress

from aiohttp import WSCloseCode, WSMsgType, hdrs, web

from polls.domain.errors import PollNotFound, PollsUnavailable
from polls.domain.poll import Poll
from polls.domain.visibility import ANONYMOUS, visible_to
from polls.web.http.errors import NotAWebSocket, TooManyWatchers
from polls.web.http.limits import most_watchers
from polls.web.http.request_ids import REQUEST_ID, request_id
from polls.web.http.same_origin import check_websocket_origin
from polls.web.http.security_headers import set_security_headers
from polls.web.keys import BROADCASTER, CONFIG, POLL_CACHE
from polls.web.pages.base import PollView

HEARTBEAT = 20  # seconds between two pings; who doesn't answer within half of that is gone
_MOST_HEARD, _WHILE = 20, 10  # messages of a client in so many seconds: it has nothing to say
_LARGEST = 1024  # bytes in one of them
_FAREWELL = 1  # seconds that a client has to say goodbye


class WatchView(PollView):
    """A WebSocket that tells how the poll stands, at once and then at each change."""

    async def get(self) -> web.StreamResponse:
        check_websocket_origin(self.request)
        await self.find()
        socket = web.WebSocketResponse(
            heartbeat=HEARTBEAT, max_msg_size=_LARGEST, timeout=_FAREWELL, compress=False, autoclose=True
        )
        if not _is_asked_for(socket, self.request):
            raise NotAWebSocket
        audience = self.request.app[BROADCASTER]
        if len(audience) >= most_watchers(self.request.app[CONFIG].limits):
            raise TooManyWatchers
        set_security_headers(self.request, socket)
        socket.headers[REQUEST_ID] = request_id()
        try:
            await socket.prepare(self.request)
        except ConnectionError:  # gone already
            return socket
        watcher = _Connection(self.request, socket)
        try:
            await self.request.app[POLL_CACHE].watch(self.question_id, watcher)
            await _hear_out(socket)
        except PollNotFound:
            await watcher.close(WSCloseCode.OK, "there is no such poll")
        except PollsUnavailable:
            await watcher.close(WSCloseCode.TRY_AGAIN_LATER, "polls can't be read just now")
        finally:
            audience.unsubscribe(self.question_id, watcher)
            watcher.abandon()
        return socket


def _is_asked_for(socket: web.WebSocketResponse, request: web.Request) -> bool:
    """Whether the request is a handshake."""
    try:
        return request.method == hdrs.METH_GET and bool(socket.can_prepare(request))
    except ValueError:  # a key with letters that no key has
        return False


def as_message(poll: Poll) -> bytes | None:
    """How a poll stands, as everybody may see it, for programs; None where there is nothing to be seen."""
    try:
        seen = visible_to(poll, ANONYMOUS)
    except PollNotFound:
        return None
    return json.dumps(
        {
            "revision": seen.poll.revision,
            "edition": seen.poll.edition,
            "ballots": seen.poll.ballots,
            "choices": {str(choice.id): {"votes": choice.votes} for choice in seen.poll.choices},
            "closed": seen.poll.is_closed,
        },
        separators=(",", ":"),
    ).encode()


class _Connection:
    """A watcher at the other end of a WebSocket."""

    __slots__ = ("_request", "_socket")

    def __init__(self, request: web.Request, socket: web.WebSocketResponse) -> None:
        self._request = request
        self._socket = socket

    @property
    def keeps_up(self) -> bool:
        transport = self._request.transport
        return transport is not None and not transport.get_write_buffer_size()

    async def send(self, message: bytes) -> None:
        with suppress(ConnectionError):
            await self._socket.send_frame(message, WSMsgType.TEXT)

    async def close(self, code: int, reason: str) -> None:
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(2 * _FAREWELL):
                await self._socket.close(code=code, message=reason.encode())
        self.abandon()

    def abandon(self) -> None:
        """Leave behind what a watcher that doesn't read has not taken: otherwise it is waited for without end."""
        if not self.keeps_up and (transport := self._request.transport):
            transport.abort()


async def _hear_out(socket: web.WebSocketResponse) -> None:
    """Listen until the client goes. What it says means nothing, and too much of it ends the connection."""
    loop = asyncio.get_running_loop()
    heard, since = 0, loop.time()
    async for _ in socket:
        if loop.time() - since > _WHILE:
            heard, since = 0, loop.time()
        heard += 1
        if heard > _MOST_HEARD:
            await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"too many messages")
