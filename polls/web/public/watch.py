"""Live results over a WebSocket."""

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass

from aiohttp import WSCloseCode, WSMsgType, hdrs, web

from polls.domain.errors import PollNotFound, PollsUnavailable
from polls.domain.poll import Poll
from polls.domain.tally import Tally
from polls.domain.visibility import ANONYMOUS, visible_to
from polls.web.http.limits import TooManyWebSockets, max_websockets
from polls.web.http.request_ids import REQUEST_ID, request_id
from polls.web.http.same_origin import check_websocket_origin
from polls.web.http.security_headers import set_security_headers
from polls.web.keys import BROADCASTER, CONFIG, POLL_CACHE
from polls.web.pages.base import PollView

HEARTBEAT = 20  # seconds between two pings; a client that doesn't answer within half of that is disconnected
_MAX_MESSAGES, _MESSAGES_PERIOD = 20, 10  # messages that a client may send in so many seconds; none is needed
_MAX_MESSAGE_SIZE = 1024  # bytes
_CLOSE_TIMEOUT = 1  # seconds to wait for a client's close frame


class WatchView(PollView):
    """A WebSocket that sends the poll's results at once and after each change, and keepalives between them."""

    async def get(self) -> web.StreamResponse:
        check_websocket_origin(self.request)
        question_id = (await self.find()).poll.question.id
        socket = web.WebSocketResponse(
            heartbeat=HEARTBEAT, max_msg_size=_MAX_MESSAGE_SIZE, timeout=_CLOSE_TIMEOUT, compress=False, autoping=False
        )
        if not _is_handshake(socket, self.request):
            # The only version there is (RFC 6455, section 4.4).
            raise web.HTTPUpgradeRequired(headers={"Upgrade": "websocket", "Sec-WebSocket-Version": "13"})
        broadcaster = self.request.app[BROADCASTER]
        if len(broadcaster) >= max_websockets(self.request.app[CONFIG].limits):
            raise TooManyWebSockets
        set_security_headers(self.request, socket)
        socket.headers[REQUEST_ID] = request_id()
        try:
            await socket.prepare(self.request)
        except ConnectionError:  # the client has disconnected
            return socket
        subscriber = _WebSocketSubscriber(self.request, socket)
        try:
            await self.request.app[POLL_CACHE].subscribe(question_id, subscriber)
            await _discard_messages(socket)
        except PollNotFound:
            await subscriber.close(WSCloseCode.OK, "there is no such poll")
        except PollsUnavailable:
            await subscriber.close(WSCloseCode.TRY_AGAIN_LATER, "polls can't be read right now")
        except ConnectionError:
            pass  # the client has reset the connection
        finally:
            broadcaster.unsubscribe(question_id, subscriber)
            subscriber.abort_unread()
        return socket


def _is_handshake(socket: web.WebSocketResponse, request: web.Request) -> bool:
    try:
        return request.method == hdrs.METH_GET and bool(socket.can_prepare(request))
    except ValueError:  # invalid characters in Sec-WebSocket-Key
        return False


def encode_results(poll: Poll, *, is_live: bool) -> bytes | None:
    """Return the public results of a poll as JSON, or None if it isn't public."""
    try:
        visible = visible_to(poll, ANONYMOUS)
    except PollNotFound:
        return None
    return json.dumps(
        {
            "revision": visible.poll.revision,
            "edition": visible.poll.edition,
            "ballots": visible.poll.ballots,
            "closed": visible.poll.is_closed,
            "live": is_live,
            "hidden": visible.hidden and visible.hidden.until,
            **(_encodable(visible.tally) if visible.tally else {"choices": None}),
        },
        separators=(",", ":"),
    ).encode()


def _encodable(tally: Tally) -> dict[str, object]:
    """Return what `templates/public/_results.html` shows of the results, so that scripts need not round."""
    return {
        "decimals": tally.decimals,
        "adds_up": tally.adds_up,
        "votes": tally.votes,
        "points": tally.points,
        "choices": {
            str(result.choice.id): {
                "votes": result.choice.votes,
                "points": result.choice.points,
                "value": result.figure and result.figure.value,
                "sign": result.figure.sign if result.figure else "",
                "bar": result.bar,
                "leads": result.leads,
            }
            for result in tally.results
        },
    }


@dataclass(eq=False, frozen=True, slots=True)
class _WebSocketSubscriber:
    """A WebSocket as a subscriber (`live.broadcast.Subscriber`)."""

    request: web.Request
    socket: web.WebSocketResponse

    @property
    def keeps_up(self) -> bool:
        transport = self.request.transport
        return transport is not None and not transport.get_write_buffer_size()

    async def send(self, message: bytes) -> None:
        with suppress(ConnectionError):
            await self.socket.send_frame(message, WSMsgType.TEXT)

    async def close(self, code: int, reason: str) -> None:
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(2 * _CLOSE_TIMEOUT):
                await self.socket.close(code=code, message=reason.encode())
        self.abort_unread()

    def abort_unread(self) -> None:
        """Abort the connection if the client hasn't read all messages: closing would wait for it without a limit."""
        if not self.keeps_up and (transport := self.request.transport):
            transport.abort()


async def _discard_messages(socket: web.WebSocketResponse) -> None:
    """Answer pings, and discard all else until the client disconnects; close the socket if it sends too much.

    Pings and pongs count as messages: with aiohttp's `autoping` they would never be seen here.
    """
    loop = asyncio.get_running_loop()
    count, since = 0, loop.time()
    async for message in socket:
        if loop.time() - since > _MESSAGES_PERIOD:
            count, since = 0, loop.time()
        count += 1
        if count > _MAX_MESSAGES:
            await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"too many messages")
        elif message.type is WSMsgType.PING:
            await socket.pong(message.data)
