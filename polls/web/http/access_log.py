"""The access log: a line for each request, which tells one visitor from another only where that is asked for."""

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

VISITOR: web.RequestKey[str] = web.RequestKey("client_network", str)  # set if addresses are logged


class AccessLogger(AbstractAccessLogger):
    """Writes method, path, status, bytes sent and seconds; no query string, no cookie, and no address, unless noted.

    The parts are attributes of the log record as well, for logs in JSON.
    """

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        path = request.rel_url.raw_path  # as it came, percent signs and all: a line break in it stays encoded
        visitor = request.get(VISITOR)
        self.logger.info(
            "%s %s %d %d %.4f%s",
            request.method,
            path,
            response.status,
            response.body_length,
            time,
            "" if visitor is None else f" {visitor or '-'}",
            extra={
                "method": request.method,
                "path": path,
                "status": response.status,
                "bytes": response.body_length,
                "seconds": round(time, 4),
                **({} if visitor is None else {"visitor": visitor}),
            },
        )
