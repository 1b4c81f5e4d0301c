"""The access log: a line for each request, with nothing in it that would tell one visitor from another."""

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger


class AccessLogger(AbstractAccessLogger):
    """Writes method, path, status, bytes sent and seconds; no query string, no cookie, no address.

    The parts are attributes of the log record as well, for logs in JSON.
    """

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        path = request.rel_url.raw_path  # as it came, percent signs and all: a line break in it stays encoded
        self.logger.info(
            "%s %s %d %d %.4f",
            request.method,
            path,
            response.status,
            response.body_length,
            time,
            extra={
                "method": request.method,
                "path": path,
                "status": response.status,
                "bytes": response.body_length,
                "seconds": round(time, 4),
            },
        )
