"""The application: all parts, in the order in which they start and stop."""

import asyncio
import logging
import threading
from contextlib import suppress
from functools import partial
from http import HTTPStatus

from aiohttp import web

from polls.aio import is_cancelled
from polls.config.settings import Config, Postgres
from polls.live.ballot_box import BallotBox
from polls.live.broadcast import GOING_AWAY, Broadcaster
from polls.live.poll_cache import PollCache
from polls.live.rate_limit import VoteRateLimit
from polls.server.gunicorn import Worker, load_config
from polls.server.metrics import serve_metrics
from polls.server.process import prepare_process, runner_options
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
from polls.web.http.page_cache import MAX_BYTES, RENDERED_PAGES, RenderedPages
from polls.web.http.prebuilt import PrebuiltAnswer
from polls.web.http.request_ids import REQUEST_IDS, RequestIds
from polls.web.http.security_headers import RESPONSE_HEADERS, security_headers
from polls.web.http.slow_readers import SLOW_READERS, SlowReaders
from polls.web.http.static import STATIC_URLS
from polls.web.keys import BALLOT_BOX, BROADCASTER, CONFIG, DATABASE, PASSWORDS, POLL_CACHE, VOTE_RATE_LIMIT
from polls.web.middlewares import middlewares
from polls.web.ops.meter import METER, Meter
from polls.web.ops.readiness import READINESS, Readiness
from polls.web.pages.languages import TRANSLATIONS, load_languages
from polls.web.pages.rendering import setup_templates
from polls.web.public.vote import VOTE_REDIRECT
from polls.web.public.watch import encode_results
from polls.web.routes import setup_routes

logger = logging.getLogger(__name__)

_SYNC_TIMEOUT = 2  # seconds that the startup waits for the poll cache to be synced
_RECORDER = web.AppKey("recorder", Recorder)


def create_app(config: Config) -> web.Application:
    """Assemble the application. Connections are opened when it starts."""
    meter = Meter() if config.metrics.is_enabled else None
    app = web.Application(
        middlewares=middlewares(config, meter), client_max_size=MAX_BODY, handler_args=handler_args(config.limits)
    )
    app[CONFIG] = config
    if meter:
        app[METER] = meter
        app.cleanup_ctx.append(serve_metrics)
    setup_state(app, config)
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
    """Return the runner of a gunicorn worker: `gunicorn polls.app:application`. $POLLS_CONFIG names the settings."""
    config = load_config()
    prepare_process()
    return Worker(create_app(config), **runner_options(config))


def setup_state(app: web.Application, config: Config) -> None:
    """Create the caches, limits and registries that live as long as the application."""
    app[TRANSLATIONS] = load_languages(config.site.zone)
    app[REQUEST_IDS] = RequestIds(is_proxied=config.trusted_proxies > 0)
    app[RESPONSE_HEADERS] = security_headers(config)
    app[STATIC_URLS] = {}
    app[RENDERED_PAGES] = RenderedPages(0 if config.development else MAX_BYTES)
    app[VOTE_REDIRECT] = PrebuiltAnswer(HTTPStatus.SEE_OTHER, app[RESPONSE_HEADERS])
    app[READINESS] = Readiness()
    app[PASSWORDS] = Passwords()
    app[BROADCASTER] = Broadcaster(encode_results)
    app[SLOW_READERS] = SlowReaders(config.limits.write_timeout)
    app[VOTE_RATE_LIMIT] = VoteRateLimit(config.votes.rate_limit) if config.votes.rate_limit else None


async def always_run_cleanup(app: web.Application) -> None:
    """Freeze `on_cleanup` now: aiohttp skips its handlers after a failed startup while the signal is unfrozen."""
    app.on_cleanup.freeze()


async def prepare_schema(app: web.Application) -> None:
    """Migrate the database, or check that its schema is current. Raises UnusableDatabase."""
    cancelled = threading.Event()
    try:
        await asyncio.to_thread(_prepare_schema, app[CONFIG].postgres, cancelled)
    finally:
        cancelled.set()  # a thread can't be cancelled; it checks this event


def _prepare_schema(postgres: Postgres, cancelled: threading.Event) -> None:
    with connect(postgres) as connection:
        migrations.prepare(postgres, connection, cancelled)
        for problem in (*weak_settings(connection), *schema_damage(connection)):
            logger.warning(problem)


async def init_pg(app: web.Application) -> None:
    """Open the connection pool. Raises UnusableDatabase."""
    app[DATABASE] = await open_database(app[CONFIG].postgres, echo=app[CONFIG].development)


async def open_ballot_box(app: web.Application) -> None:
    """Open the ballot queue and the connection that stores ballots. Raises UnusableDatabase."""
    votes = app[CONFIG].votes
    app[_RECORDER] = await open_recorder(app[CONFIG].postgres, app[DATABASE])
    meter = app.get(METER)
    record = meter.count_batches(app[_RECORDER].record) if meter else app[_RECORDER].record
    app[BALLOT_BOX] = BallotBox(record, queue_size=votes.queue_size, timeout=votes.timeout)
    app[BALLOT_BOX].open()


async def open_poll_cache(app: web.Application) -> None:
    """Open the poll cache, and listen for changes on a dedicated connection."""
    database = app[DATABASE]
    app[POLL_CACHE] = PollCache(
        partial(questions.find, database),
        partial(questions.latest, database),
        partial(questions.next_publication, database),
        app[BROADCASTER],
        max_polls=app[CONFIG].cache.polls,
    )
    events, meter = listen(database), app.get(METER)
    app[POLL_CACHE].open(meter.count_events(events) if meter else events)
    # Without notifications pages are read from the database; the listener logs why it has none.
    with suppress(TimeoutError):
        async with asyncio.timeout(_SYNC_TIMEOUT):
            await app[POLL_CACHE].wait_until_synced()


async def open_slow_readers(app: web.Application) -> None:
    """Start to close connections whose clients don't read their responses."""
    app[SLOW_READERS].open()


async def reraise_swallowed_cancel(_: web.Application) -> None:
    """Re-raise a cancellation that `asyncio.wait_for` swallowed (Python 3.11)."""
    if is_cancelled():
        raise asyncio.CancelledError


async def close_websockets(app: web.Application) -> None:
    """Close all WebSockets; their pages reconnect to another process."""
    await app[BROADCASTER].close(GOING_AWAY, "this server is stopping")


async def close_slow_readers(app: web.Application) -> None:
    """Stop closing connections of slow readers."""
    app[SLOW_READERS].close()


async def close_poll_cache(app: web.Application) -> None:
    """Close the poll cache and its listener."""
    if poll_cache := app.get(POLL_CACHE):
        await poll_cache.close()


async def close_ballot_box(app: web.Application) -> None:
    """Store the ballots in the queue, then close their connection."""
    try:
        if box := app.get(BALLOT_BOX):
            await box.close()
    finally:
        if recorder := app.get(_RECORDER):
            recorder.close()


async def close_pg(app: web.Application) -> None:
    """Close the connection pool, if it was opened."""
    if database := app.get(DATABASE):
        await database.close()
