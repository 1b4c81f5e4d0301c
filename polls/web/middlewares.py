"""What every request passes on its way in, and every response on its way out."""

from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Middleware

from polls.config.settings import Config
from polls.web.http.access_log import VISITOR
from polls.web.http.forwarded import client_network
from polls.web.http.prebuilt import PrebuiltResponse
from polls.web.http.request_ids import REQUEST_ID, REQUEST_IDS
from polls.web.http.same_origin import check_same_origin
from polls.web.http.security_headers import set_security_headers
from polls.web.http.slow_readers import SLOW_READERS
from polls.web.http.static import static_caching
from polls.web.ops.meter import Meter
from polls.web.pages.problems import respond

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_SAFE_METHODS = {"GET", "HEAD", "OPTIONS", "TRACE"}


@web.middleware
async def answers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Name the request; refuse what another site asks for; make pages, or JSON, of errors; harden every answer.

    One middleware, since each more costs every vote some microseconds.
    """
    app = request.app
    app[SLOW_READERS].add(request.transport)
    request_id = app[REQUEST_IDS].give(request)
    try:
        if request.method not in _SAFE_METHODS:
            check_same_origin(request)
        response = await handler(request)
    except (web.HTTPSuccessful, web.HTTPRedirection) as no_error:
        set_security_headers(request, no_error)
        no_error.headers[REQUEST_ID] = request_id
        raise
    except Exception as error:  # noqa: BLE001 - respond() tells refusals from faults, and logs the faults
        response = respond(request, error)
    if isinstance(response, PrebuiltResponse):
        response.request_id = request_id
        return response
    response.headers[REQUEST_ID] = request_id
    if isinstance(response, web.FileResponse):
        response.headers["Cache-Control"] = static_caching(request)
    set_security_headers(request, response)
    return response


@web.middleware
async def visitors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Note where the request comes from."""
    request[VISITOR] = client_network(request)
    return await handler(request)


def middlewares(config: Config, meter: Meter | None) -> list[Middleware]:
    """What `config` wants, from the outside in. With a `meter`, requests are counted."""
    wanted: list[Middleware] = [meter.requests] if meter else []
    return [*wanted, *([visitors] if config.log.client_addresses else []), answers]
