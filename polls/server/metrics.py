"""The listener that serves metrics, beside the application."""

import logging
from collections.abc import AsyncIterator

from aiohttp import web

from polls.server.runner import LimitedRunner
from polls.server.sockets import CannotListen, listening_for_metrics
from polls.server.urls import bound_address
from polls.web.keys import CONFIG
from polls.web.ops.meter import METER
from polls.web.ops.metrics import metrics_app

logger = logging.getLogger(__name__)

_SHUTDOWN_TIMEOUT = 1  # seconds for requests in flight


async def serve_metrics(app: web.Application) -> AsyncIterator[None]:
    """Serve metrics while `app` runs. If their address can't be bound, log an error and serve `app` without them."""
    try:
        listening = listening_for_metrics(app[CONFIG].metrics)
    except CannotListen as error:
        logger.error("metrics are off: %s", error)  # noqa: TRY400 - the message is complete
        yield
        return
    with listening as sockets:
        logger.info("metrics are served at %s/metrics", bound_address(sockets))
        runner = LimitedRunner(metrics_app(app, app[METER]), shutdown_timeout=_SHUTDOWN_TIMEOUT)
        await runner.setup()
        try:
            for listener in sockets:
                await web.SockSite(runner, listener).start()
            yield
        finally:
            await runner.cleanup()
