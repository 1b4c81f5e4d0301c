"""What every request passes on its way in, and every response on its way out."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from polls.web.errors import respond
from polls.web.keys import OUTBOX
from polls.web.rendered import ReadyResponse
from polls.web.security import harden, refuse_other_sites
from polls.web.static import static_caching

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_SAFE_METHODS = {"GET", "HEAD", "OPTIONS", "TRACE"}


@web.middleware
async def answers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what another site asks for; make pages, or JSON, of errors; say how long files may be kept; harden all.

    One middleware, since each more costs every vote some microseconds.
    """
    request.app[OUTBOX].add(request.transport)
    try:
        if request.method not in _SAFE_METHODS:
            refuse_other_sites(request)
        response = await handler(request)
    except (web.HTTPSuccessful, web.HTTPRedirection) as no_error:
        harden(request, no_error)
        raise
    except Exception as error:  # noqa: BLE001 - respond() tells refusals from faults, and logs the faults
        response = respond(request, error)
    if isinstance(response, ReadyResponse):
        return response
    if isinstance(response, web.FileResponse):
        response.headers["Cache-Control"] = static_caching(request)
    harden(request, response)
    return response


MIDDLEWARES = (answers,)
