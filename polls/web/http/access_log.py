"""The access log: one line for each request."""

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from polls.web.http.secret_paths import path_for_logs

# Set on requests only if `log.client_addresses` is on.
CLIENT_NETWORK: web.RequestKey[str] = web.RequestKey("client_network", str)


class AccessLogger(AbstractAccessLogger):
    """A logger of method, path, status, bytes sent and seconds; never of the query string, cookies or access keys.

    The client's network is added if the request has a CLIENT_NETWORK. Each part is also an attribute of the log record,
    for logs in JSON.
    """

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        fields = {
            "method": request.method,
            "path": path_for_logs(request),
            "status": response.status,
            "bytes": response.body_length,
            "seconds": round(time, 4),
        }
        network = request.get(CLIENT_NETWORK)
        suffix = "" if network is None else f" {network or '-'}"
        extra = fields if network is None else fields | {"client_network": network}
        self.logger.info("%s %s %d %d %.4f%s", *fields.values(), suffix, extra=extra)
