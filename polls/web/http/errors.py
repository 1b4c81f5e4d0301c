"""Errors of requests that are rejected before any rule of polls applies."""

from http import HTTPStatus

from aiohttp import web


class CrossSiteRequest(Exception):
    """A request that a page of another site sent."""


class NotSignedIn(Exception):
    """A request without a valid session for a page that needs one."""


class TooManyWebSockets(Exception):
    """A WebSocket beyond the limit of this process."""


class NotAWebSocket(web.HTTPClientError):
    """A plain request for a WebSocket-only URL."""

    status_code = HTTPStatus.UPGRADE_REQUIRED
