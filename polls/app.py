"""The application: every part plugged in, in the order in which it starts."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress
from functools import partial
from http import HTTPStatus

from aiohttp import web

from polls.aio import is_cancelled
from polls.config.settings import Config, Postgres
from polls.live.ballot_box import BallotBox
from polls.live.broadcast import GOING_AWAY, Broadcaster
from polls.live.poll_cache import PollCache
from polls.live.rate_limit import VoteRateLimit
from polls.server.announcement import bound_address
from polls.server.gunicorn import Worker, configured
from polls.server.process import prepare_process, runner_options
from polls.server.sockets import CannotListen, listening_for_metrics
from polls.storage import questions
from polls.storage.ballots import Recorder, open_recorder
from polls.storage.checks.durability import weak_settings
from polls.storage.checks.schema import schema_damage
from polls.storage.listener import listen
from polls.storage.passwords import Passwords
from polls.storage.postgres import migrations
from polls.storage.postgres.connect import connect
from polls.storage.postgres.pool import open_database
from polls.web.http.forms import MAX_BODY
from polls.web.http.limits import handler_args
from polls.web.http.page_cache import MOST_BYTES, RENDERED_PAGES, RenderedPages
from polls.web.http.prebuilt import PrebuiltAnswer
from polls.web.http.request_ids import REQUEST_IDS, RequestIds
from polls.web.http.security_headers import RESPONSE_HEADERS, security_headers
from polls.web.http.slow_readers import SLOW_READERS, SlowReaders
from polls.web.http.static import STATIC_URLS
from polls.web.keys import BALLOT_BOX, BROADCASTER, CONFIG, DATABASE, PASSWORDS, POLL_CACHE, VOTE_RATE_LIMIT
from polls.web.middlewares import middlewares
from polls.web.ops.meter import METER, Meter
from polls.web.ops.metrics import metrics_app
from polls.web.ops.readiness import READINESS, Readiness
from polls.web.pages.languages import TRANSLATIONS, load_languages
from polls.web.pages.rendering import setup_templates
from polls.web.public.vote import VOTE_REDIRECT
from polls.web.public.watch import as_message
from polls.web.routes import setup_routes

logger = logging.getLogger(__name__)

_UNTIL_NOTICES = 2  # seconds that a start waits for them
_LAST_METRICS = 1  # seconds that the end waits for whoever is being told them
_RECORDER = web.AppKey("recorder", Recorder)


def create_app(config: Config) -> web.Application:
    """Assemble polls. Nothing is opened yet: that happens when the application starts."""
    meter = Meter() if config.metrics.is_enabled else None
    app = web.Application(
        middlewares=middlewares(config, meter), client_max_size=MAX_BODY, handler_args=handler_args(config.limits)
    )
    if meter:
        app[METER] = meter
        app.cleanup_ctx.append(serve_metrics)
    app[CONFIG] = config
    app[TRANSLATIONS] = load_languages(config.site.zone)
    app[REQUEST_IDS] = RequestIds(is_proxied=config.trusted_proxies > 0)
    app[RESPONSE_HEADERS] = security_headers(config)
    app[STATIC_URLS] = {}
    app[RENDERED_PAGES] = RenderedPages(0 if config.development else MOST_BYTES)
    app[VOTE_REDIRECT] = PrebuiltAnswer(HTTPStatus.SEE_OTHER, app[RESPONSE_HEADERS])
    app[READINESS] = Readiness()
    app[PASSWORDS] = Passwords()
    app[BROADCASTER] = Broadcaster(as_message)
    app[SLOW_READERS] = SlowReaders(config.limits.write_timeout)
    app[VOTE_RATE_LIMIT] = VoteRateLimit(config.votes.rate_limit) if config.votes.rate_limit else None
    setup_templates(app)
    setup_routes(app)
    app.on_startup.append(always_run_cleanup)
    app.on_startup.append(prepare_schema)
    app.on_startup.append(init_pg)
    app.on_startup.append(open_ballot_box)
    app.on_startup.append(open_poll_cache)
    app.on_startup.append(open_slow_readers)
    app.on_startup.append(reraise_swallowed_cancel)
    app.on_shutdown.append(close_websockets)
    app.on_cleanup.append(close_slow_readers)
    app.on_cleanup.append(close_poll_cache)
    app.on_cleanup.append(close_ballot_box)
    app.on_cleanup.append(close_pg)
    return app


async def application() -> web.AppRunner:
    """What a worker of gunicorn serves: `gunicorn polls.app:application`, as the file in $POLLS_CONFIG wants it."""
    config = configured()
    prepare_process()
    return Worker(create_app(config), **runner_options(config))


async def serve_metrics(app: web.Application) -> AsyncIterator[None]:
    """Tell metrics, from before anything else is opened; where that can't be, votes are more important."""
    with ExitStack() as opened:
        try:
            sockets = opened.enter_context(listening_for_metrics(app[CONFIG].metrics))
        except CannotListen as refusal:
            logger.error("metrics are not told: %s", refusal)  # noqa: TRY400 - it says all
            yield
            return
        logger.info("metrics are told at %s/metrics", bound_address(sockets))
        runner = web.AppRunner(metrics_app(app, app[METER]), access_log=None, shutdown_timeout=_LAST_METRICS)
        await runner.setup()
        try:
            for listener in sockets:
                await web.SockSite(runner, listener).start()
            yield
        finally:
            await runner.cleanup()


async def always_run_cleanup(app: web.Application) -> None:
    """Close what was opened also when a later step of the start fails: aiohttp does so if nothing can join any more."""
    app.on_cleanup.freeze()


async def prepare_schema(app: web.Application) -> None:
    """Bring the database up to this version, or refuse to serve one that is behind. Raises UnusableDatabase."""
    given_up = threading.Event()
    try:
        await asyncio.to_thread(_prepare_schema, app[CONFIG].postgres, given_up)
    finally:
        given_up.set()  # a thread can't be cancelled, only told


async def init_pg(app: web.Application) -> None:
    """Open the pool of connections. Raises UnusableDatabase."""
    app[DATABASE] = await open_database(app[CONFIG].postgres, echo=app[CONFIG].development)


async def open_ballot_box(app: web.Application) -> None:
    """Begin to take ballots, and to store them over one connection more. Raises UnusableDatabase."""
    votes = app[CONFIG].votes
    app[_RECORDER] = await open_recorder(app[CONFIG].postgres, app[DATABASE])
    meter = app.get(METER)
    record = meter.recording(app[_RECORDER].record) if meter else app[_RECORDER].record
    app[BALLOT_BOX] = BallotBox(record, queue_size=votes.queue_size, timeout=votes.timeout)
    app[BALLOT_BOX].open()


async def open_poll_cache(app: web.Application) -> None:
    """Begin to keep polls in memory, and to hear of changes over one connection more."""
    database = app[DATABASE]
    app[POLL_CACHE] = PollCache(
        partial(questions.find, database),
        partial(questions.latest, database),
        partial(questions.next_publication, database),
        app[BROADCASTER],
        max_polls=app[CONFIG].cache.polls,
    )
    events, meter = listen(database), app.get(METER)
    app[POLL_CACHE].open(meter.hearing(events) if meter else events)
    # Without notices it works, too, and the log tells why there are none.
    with suppress(TimeoutError):
        async with asyncio.timeout(_UNTIL_NOTICES):
            await app[POLL_CACHE].wait_until_synced()


async def open_slow_readers(app: web.Application) -> None:
    """Begin to give up connections whose visitors don't take their answers."""
    app[SLOW_READERS].open()


async def reraise_swallowed_cancel(_: web.Application) -> None:
    """Serve nobody if the end has come while this started: asyncio.wait_for, in Python 3.11, may swallow that."""
    if is_cancelled():
        raise asyncio.CancelledError


async def close_websockets(app: web.Application) -> None:
    """Close every WebSocket: their pages come back to another process."""
    await app[BROADCASTER].close(GOING_AWAY, "this server is stopping")


async def close_slow_readers(app: web.Application) -> None:
    """Leave connections alone."""
    app[SLOW_READERS].close()


async def close_ballot_box(app: web.Application) -> None:
    """Store the ballots that were handed in, then close their connection."""
    try:
        if box := app.get(BALLOT_BOX):
            await box.close()
    finally:
        if recorder := app.get(_RECORDER):
            recorder.close()


async def close_poll_cache(app: web.Application) -> None:
    """Forget the polls, and close the connection that tells of changes."""
    if poll_cache := app.get(POLL_CACHE):
        await poll_cache.close()


async def close_pg(app: web.Application) -> None:
    """Close the pool; a start that failed half-way has none."""
    if database := app.get(DATABASE):
        await database.close()


def _prepare_schema(postgres: Postgres, given_up: threading.Event) -> None:
    with connect(postgres) as connection:
        migrations.prepare(postgres, connection, given_up)
        for weakness in (*weak_settings(connection), *schema_damage(connection)):
            logger.warning(weakness)
