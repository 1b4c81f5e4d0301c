"""Rendering of templates: the jinja2 environment, pages and the visitor's language."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import aiohttp_jinja2
import jinja2
from aiohttp import hdrs, web
from jinja2.runtime import Context

from polls import paths
from polls.web.http.cookies import cookie_pattern, read_cookie
from polls.web.http.request_ids import request_id
from polls.web.http.secret_paths import has_secret_path
from polls.web.http.static import static_url
from polls.web.keys import CONFIG, POLL_CACHE
from polls.web.pages.languages import TRANSLATIONS, Language, negotiate
from polls.web.pages.linked import linked

LANGUAGE_COOKIE = "polls_language"
_LANGUAGE = cookie_pattern(LANGUAGE_COOKIE, "[A-Za-z-]{2,20}")
VARY = "Accept-Language, Cookie"  # the headers that the language of a page depends on


def setup_templates(app: web.Application) -> None:
    """Create the jinja2 environment of `app`. Templates in the configured folder override our own."""
    config = app[CONFIG]
    folders = [config.templates, paths.TEMPLATES] if config.templates else [paths.TEMPLATES]
    environment = aiohttp_jinja2.setup(
        app,
        loader=jinja2.FileSystemLoader(folders),
        extensions=["jinja2.ext.i18n"],
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=config.development,
    )
    formats = (Language.date, Language.time, Language.period, Language.number, Language.percent, Language.average)
    environment.filters.update({method.__name__: _localized(method) for method in formats})
    environment.filters.update(moment=datetime.fromisoformat, iso=iso, linked=linked, relative=_relative(app))
    environment.install_gettext_callables(  # type: ignore[attr-defined]
        _localized(Language.gettext), _localized(Language.ngettext), newstyle=True
    )
    environment.globals.update(
        site=config.site,
        may_ask=config.creating.is_open,
        static=partial(static_url, app),
        plural_forms=_localized(Language.plural_forms),
    )


def iso(moment: datetime) -> str:
    """Return `moment` as HTML's attribute `datetime` takes it: in UTC, to the second.

    An offset of another zone may have seconds, as that of Berlin had until 1893, and a fraction at most three digits.
    """
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def markup(app: web.Application, template: str, language: Language, /, **context: object) -> str:
    """Return `template` rendered in `language`. Its context needs `here`, the path that the language links lead to."""
    environment = aiohttp_jinja2.get_env(app)
    context = {"person": None, "edit_url": None, **context}
    return environment.get_template(template).render(context, language=language, languages=app[TRANSLATIONS].values())


def template_text(app: web.Application, template: str, name: str, language: Language) -> str:
    """Return the text that `template` sets as `name`, in `language`."""
    module = aiohttp_jinja2.get_env(app).get_template(template).make_module({"language": language})
    return str(getattr(module, name))


def render(request: web.Request, template: str, /, *, status: int, **context: object) -> web.Response:
    """Return a page in the visitor's language that bypasses the page cache, such as an error page.

    The template gets `request_id`, and as `here` the path of the request, or that of the list if it is secret, unless
    `context` has another.
    """
    language = language_of(request)
    here = request.app.router["index"].url_for() if has_secret_path(request) else request.rel_url
    return web.Response(
        status=status,
        text=markup(request.app, template, language, **{"here": str(here), "request_id": request_id(), **context}),
        content_type="text/html",
        headers={"Content-Language": language.tag, "Vary": VARY, "Cache-Control": "no-cache"},
    )


def language_of(request: web.Request) -> Language:
    """Return the language to answer this request in: that of the cookie, else the best for its Accept-Language."""
    return negotiate(
        read_cookie(request, _LANGUAGE),
        ",".join(request.headers.getall(hdrs.ACCEPT_LANGUAGE, ())),  # several lines are one list (RFC 9110, 5.3)
        request.app[TRANSLATIONS],
    )


def _relative(app: web.Application) -> Callable[[Context, datetime], str]:
    @jinja2.pass_context
    def relative(context: Context, moment: datetime) -> str:
        words: str = context["language"].relative(moment, app[POLL_CACHE].clock.now())
        return words

    return relative


def _localized(method: Callable[..., str]) -> Callable[..., str]:
    """Return a template function that calls `method`, one of Language, with the language of the page."""

    @jinja2.pass_context
    def call(context: Context, *arguments: object) -> str:
        return method(context["language"], *arguments)

    return call
