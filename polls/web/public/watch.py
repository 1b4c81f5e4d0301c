"""Live results over a WebSocket."""

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass

from aiohttp import WSCloseCode, WSMsgType, hdrs, web

from polls.domain.errors import PollNotFound, PollsUnavailable
from polls.domain.permissions import Person
from polls.domain.poll import Poll
from polls.domain.tally import Tally
from polls.domain.visibility import Hidden, Role, role_of, visible_to_role
from polls.web.http.limits import TooManyWebSockets, max_websockets
from polls.web.http.request_ids import REQUEST_ID, request_id
from polls.web.http.same_origin import check_websocket_origin
from polls.web.http.security_headers import set_security_headers
from polls.web.keys import BROADCASTER, CONFIG, POLL_CACHE
from polls.web.pages.base import PollView
from polls.web.pages.owner import owner_of
from polls.web.pages.session import person_for_links
from polls.web.pages.voter import viewer_of

HEARTBEAT = 20  # seconds between two pings; a client that doesn't answer within half of that is disconnected
SESSION_INTERVAL = 10  # seconds between two looks at whether an account is still signed in
_AS_PUBLIC = "as=public"  # the query of a screen that all people in the room see
_MAX_MESSAGES, _MESSAGES_PERIOD = 20, 10  # messages that a client may send in so many seconds; none is needed
_MAX_MESSAGE_SIZE = 1024  # bytes
_CLOSE_TIMEOUT = 1  # seconds to wait for a client's close frame


class WatchView(PollView):
    """A WebSocket that sends the poll's results at once and after each change, and keepalives between them.

    The client gets what its cookies may see; with `?as=public`, what strangers may.
    """

    async def get(self) -> web.StreamResponse:
        check_websocket_origin(self.request)
        visible = await self.find()
        question_id = visible.poll.question.id
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
        is_public = self.request.query_string == _AS_PUBLIC
        account = visible.person if visible.is_admin and not is_public else None
        subscriber = _WebSocketSubscriber(self.request, socket, account, is_public)
        watching_session = asyncio.create_task(_close_when_signed_out(subscriber)) if account else None
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
            if watching_session:
                watching_session.cancel()
            broadcaster.unsubscribe(question_id, subscriber)
            subscriber.abort_unread()
        return socket


def _is_handshake(socket: web.WebSocketResponse, request: web.Request) -> bool:
    try:
        return request.method == hdrs.METH_GET and bool(socket.can_prepare(request))
    except ValueError:  # invalid characters in Sec-WebSocket-Key
        return False


def encode_results(poll: Poll, role: Role, *, is_live: bool) -> bytes | None:
    """Return what viewers with `role` may see of a poll's results, as JSON, or None if the poll isn't public."""
    if not poll.is_published:
        return None
    visible = visible_to_role(poll, role)
    return json.dumps(
        {
            "revision": poll.revision,
            "edition": poll.edition,
            "ballots": poll.ballots,
            "closed": poll.is_closed,
            "live": is_live,
            **(_encodable_reason(visible.hidden) if visible.hidden else {"hidden": None}),
            **(_encodable(visible.tally) if visible.tally else {"choices": None}),
        },
        separators=(",", ":"),
    ).encode()


def _encodable_reason(hidden: Hidden) -> dict[str, object]:
    """Return what `templates/public/_hidden_reason.html` says in place of the results."""
    return {"hidden": hidden.until, "missing": hidden.missing}


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
    """A subscriber (`live.channel.Subscriber`) that gets messages over a WebSocket.

    `account` is the person signed in with the cookies of its handshake, None without a sign-in. If it `is_public`, it
    gets what strangers may see, whatever its cookies prove.
    """

    request: web.Request
    socket: web.WebSocketResponse
    account: Person | None
    is_public: bool

    @property
    def keeps_up(self) -> bool:
        transport = self.request.transport
        return transport is not None and not transport.get_write_buffer_size()

    def role_in(self, poll: Poll) -> Role:
        if self.is_public:
            return Role.STRANGER
        person = self.account or owner_of(self.request, poll)
        return role_of(poll, viewer_of(self.request, poll)._replace(person=person))

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


async def _close_when_signed_out(subscriber: _WebSocketSubscriber) -> None:
    """Close the connection of an admin when the session of its cookie has ended: pages reconnect without it."""
    while True:
        await asyncio.sleep(SESSION_INTERVAL)
        if not await person_for_links(subscriber.request):
            break
    await subscriber.close(WSCloseCode.POLICY_VIOLATION, "you have been signed out")


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
