"""The middleware that wraps every view."""

from aiohttp import web
from aiohttp.typedefs import Handler

from polls.web.http.access_log import CLIENT_NETWORK
from polls.web.http.forwarded import client_network
from polls.web.http.https_redirect import is_http_visit, redirect_to_https
from polls.web.http.limits import check_header_size
from polls.web.http.prebuilt import PrebuiltResponse
from polls.web.http.request_ids import REQUEST_ID, assign_request_id
from polls.web.http.same_origin import check_same_origin
from polls.web.http.secret_paths import note_secret_path
from polls.web.http.security_headers import set_security_headers
from polls.web.http.slow_readers import SLOW_READERS
from polls.web.keys import CONFIG
from polls.web.pages.error_responses import error_response
from polls.web.pages.not_found import respond_not_found

_SAFE_METHODS = {"GET", "HEAD", "OPTIONS", "TRACE"}


@web.middleware
async def handle_errors_and_headers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give each request its id, its error page and its headers.

    In this order: start the write time-out, assign the request id, note a secret path and the client's network for the
    access log, reject large headers and cross-site requests, redirect from http to https or call the view, turn
    exceptions into pages or JSON, set the request id and the security headers.
    It is one middleware, because each one costs every vote some microseconds.
    """
    app = request.app
    config = app[CONFIG]
    app[SLOW_READERS].add(request.transport)
    request_id = assign_request_id(request, is_proxied=config.trusted_proxies > 0)
    note_secret_path(request)
    if config.log.client_addresses:
        request[CLIENT_NETWORK] = client_network(request)
    try:
        check_header_size(request, config.limits.max_header_bytes)
        if request.method not in _SAFE_METHODS:
            check_same_origin(request)
        is_redirected = config.site.is_https and request.method in _SAFE_METHODS and is_http_visit(request)
        response = redirect_to_https(request) if is_redirected else await handler(request)
    except (web.HTTPSuccessful, web.HTTPRedirection) as raised:
        set_security_headers(request, raised)
        raised.headers[REQUEST_ID] = request_id
        raise
    except Exception as error:  # noqa: BLE001 - error_response() logs server errors
        if isinstance(error, web.HTTPNotFound) and error is request.match_info.http_exception:
            response = await respond_not_found(request, error)
        else:
            response = error_response(request, error)
    if isinstance(response, PrebuiltResponse):  # its prebuilt head has the security headers
        response.request_id = request_id
        return response
    response.headers[REQUEST_ID] = request_id
    set_security_headers(request, response)
    return response
