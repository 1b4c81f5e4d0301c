"""Requests that are refused before they reach the rules of polls."""

from http import HTTPStatus

from aiohttp import web


class CrossSiteRequest(Exception):
    """A page of another site tried to change something here in a visitor's name."""


class NotSignedIn(Exception):
    """A page of those who have signed in, asked for by somebody who has not, or no longer."""


class TooManyWatchers(Exception):
    """As many watch already as this process has room for."""


class NotAWebSocket(web.HTTPClientError):
    """A request that doesn't ask for a WebSocket, where there is nothing else."""

    status_code = HTTPStatus.UPGRADE_REQUIRED
