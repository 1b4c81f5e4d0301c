"""The HTTP protocol of each connection: aiohttp's, with other responses to what fails outside of the application."""

import asyncio
import logging
from http import HTTPStatus

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from polls.config.settings import Config
from polls.server.process import protocol_options
from polls.web.http.page_cache import NO_STORE
from polls.web.http.request_ids import REQUEST_ID, assign_request_id
from polls.web.http.security_headers import security_headers

logger = logging.getLogger(__name__)


class Protocol(web.RequestHandler):
    """aiohttp's protocol with another error response: its own repeats the invalid header and the versions."""

    __slots__ = ("_headers",)

    def __init__(self, server: web.Server, config: Config, *, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(server, loop=loop, **protocol_options(config))
        self._headers = security_headers(config) | {"Cache-Control": NO_STORE}

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it contains the header
    ) -> web.StreamResponse:
        """Return the response to a request that can't be parsed, or that failed outside of the application."""
        if request.writer.output_size > 0:
            raise ConnectionError("a part of the response has been sent already")
        request_id = assign_request_id(request, is_proxied=False)
        if isinstance(exc, LineTooLong):
            status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        if isinstance(exc, HttpProcessingError):
            logger.info("refused a request that is not valid HTTP: %s", type(exc).__name__)
        else:
            logger.error("a request failed outside of the application", exc_info=exc)
        response = web.Response(
            status=status,
            text=f"{status} {HTTPStatus(status).phrase}\n\nRequest ID: {request_id}\n",
            headers=self._headers | {REQUEST_ID: request_id},
        )
        response.force_close()
        return response
