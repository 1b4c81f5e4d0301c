"""The application: all parts, in the order in which they start and stop."""

import asyncio
import logging
import threading
from http import HTTPStatus

from aiohttp import web

from polls.aio import CountedSemaphore, SingleFlight
from polls.config.settings import Config, Postgres
from polls.domain.errors import TooManyAttempts, TooManyVoters
from polls.domain.refused_words import RefusedWords
from polls.live.broadcast import Broadcaster
from polls.live.rate_limit import HOUR, PollRateLimit, RateLimit
from polls.live.session_cache import SessionCache
from polls.parts import close_parts, close_websockets, open_parts
from polls.server.gunicorn import Worker, load_config
from polls.server.metrics import serve_metrics
from polls.server.process import prepare_process, shutdown_timeout
from polls.storage import sessions
from polls.storage.checks.durability import weak_settings
from polls.storage.checks.schema import schema_damage
from polls.storage.checks.start import prepare
from polls.storage.passwords import Passwords
from polls.storage.postgres.connect import connect
from polls.storage.postgres.pool import open_database
from polls.web.http.forms import MAX_BODY
from polls.web.http.limits import handler_args
from polls.web.http.page_cache import MAX_BYTES, MAX_VARIANT_BYTES, RENDERED_PAGES, VARIANT_PAGES, RenderedPages
from polls.web.http.prebuilt import PrebuiltAnswer
from polls.web.http.same_origin import CROSS_SITE_LOG, CrossSiteLog
from polls.web.http.security_headers import RESPONSE_HEADERS, security_headers
from polls.web.http.slow_readers import SLOW_READERS, SlowReaders
from polls.web.http.static import STATIC_FILES, compressed, read_static_files
from polls.web.keys import BROADCASTER, CONFIG, DATABASE, PASSWORDS, SESSION_CACHE, VOTE_RATE_LIMIT
from polls.web.manage.ask import (
    EMPTY_FORMS,
    MAX_PASSWORDS,
    PASSWORD_RATE_LIMIT,
    POLL_RATE_LIMIT,
)
from polls.web.manage.own_poll import MAX_CHANGES, OWNER_RATE_LIMIT
from polls.web.manage.refused_words import REFUSED_WORDS
from polls.web.middlewares import handle_errors_and_headers
from polls.web.ops.health import READINESS
from polls.web.ops.meter import METER, Meter
from polls.web.pages.languages import TRANSLATIONS, load_languages
from polls.web.pages.rendering import setup_templates
from polls.web.public.ballot_exports import EXPORT_SLOT
from polls.web.public.site_texts import SITE_TEXTS, read_site_texts
from polls.web.public.vote import VOTE_REDIRECT
from polls.web.public.watch import encode_results
from polls.web.routes import setup_routes

logger = logging.getLogger(__name__)


def create_app(config: Config) -> web.Application:
    """Assemble the application. Connections are opened when it starts."""
    app = web.Application(
        middlewares=[handle_errors_and_headers], client_max_size=MAX_BODY, handler_args=handler_args(config.limits)
    )
    app[CONFIG] = config
    if config.metrics.is_enabled:
        app[METER] = meter = Meter()
        app.middlewares.insert(0, meter.count_requests)
        app.cleanup_ctx.append(serve_metrics)
    app[TRANSLATIONS] = load_languages(config.site.zone)
    app[RESPONSE_HEADERS] = security_headers(config)
    app[STATIC_FILES] = compressed(read_static_files())
    app[SITE_TEXTS] = read_site_texts(config.site)
    app[RENDERED_PAGES] = RenderedPages(0 if config.development else MAX_BYTES)
    app[VARIANT_PAGES] = RenderedPages(0 if config.development else MAX_VARIANT_BYTES)
    app[VOTE_REDIRECT] = PrebuiltAnswer(HTTPStatus.SEE_OTHER, app[RESPONSE_HEADERS])
    app[CROSS_SITE_LOG] = CrossSiteLog()
    app[READINESS] = SingleFlight()
    app[EXPORT_SLOT] = CountedSemaphore(1)
    app[PASSWORDS] = Passwords()
    app[SESSION_CACHE] = SessionCache(lambda token: sessions.find(app[DATABASE], token))
    app[BROADCASTER] = Broadcaster(encode_results)
    app[SLOW_READERS] = SlowReaders(config.limits.write_timeout)
    app[VOTE_RATE_LIMIT] = RateLimit(config.votes.rate_limit, TooManyVoters) if config.votes.rate_limit else None
    app[REFUSED_WORDS] = RefusedWords(config.creating.refused_words)
    app[EMPTY_FORMS] = {}
    app[POLL_RATE_LIMIT] = PollRateLimit(config.creating.per_hour, config.creating.per_hour_in_all)
    app[PASSWORD_RATE_LIMIT] = RateLimit(MAX_PASSWORDS, TooManyAttempts)
    app[OWNER_RATE_LIMIT] = RateLimit(MAX_CHANGES, TooManyAttempts, seconds=HOUR)
    setup_templates(app)
    setup_routes(app)
    app.on_startup.append(always_run_cleanup)
    app.on_startup.append(prepare_schema)
    app.on_startup.append(init_pg)
    app.on_startup.append(open_parts)
    app.on_shutdown.append(close_websockets)
    app.on_cleanup.append(close_parts)
    app.on_cleanup.append(close_pg)
    return app


async def application() -> web.AppRunner:
    """Return the runner of a gunicorn worker: `gunicorn polls.app:application`. $POLLS_CONFIG names the settings."""
    config = load_config()
    prepare_process()
    return Worker(create_app(config), shutdown_timeout=shutdown_timeout(config))


async def always_run_cleanup(app: web.Application) -> None:
    """Freeze `on_cleanup` now: aiohttp skips its handlers after a failed startup while the signal is unfrozen."""
    app.on_cleanup.freeze()


async def prepare_schema(app: web.Application) -> None:
    """Migrate the database, or refuse a schema that is behind. Raises UnusableDatabase."""
    cancelled = threading.Event()
    try:
        await asyncio.to_thread(_prepare_schema, app[CONFIG].postgres, cancelled)
    finally:
        cancelled.set()  # a thread can't be cancelled; it checks this event


def _prepare_schema(postgres: Postgres, cancelled: threading.Event) -> None:
    with connect(postgres) as connection:
        prepare(postgres, connection, cancelled)
        for problem in (*weak_settings(connection), *schema_damage(connection)):
            logger.warning(problem)


async def init_pg(app: web.Application) -> None:
    """Open the connection pool. Raises UnusableDatabase."""
    app[DATABASE] = await open_database(app[CONFIG].postgres, echo=app[CONFIG].development)


async def close_pg(app: web.Application) -> None:
    """Close the connection pool, if the startup got as far as opening it."""
    if database := app.get(DATABASE):
        await database.close()
