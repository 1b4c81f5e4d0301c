"""Rendering of templates: the jinja2 environment, pages and the visitor's language."""

import json
from datetime import datetime
from functools import partial

import aiohttp_jinja2
import jinja2
from aiohttp import hdrs, web
from jinja2.runtime import Context

from polls import paths
from polls.web.http.cookies import cookie_pattern, read_cookie
from polls.web.http.request_ids import request_id
from polls.web.http.static import static_url
from polls.web.keys import CONFIG
from polls.web.pages.languages import TRANSLATIONS, Language, negotiate

LANGUAGE_COOKIE = "language"
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
    environment.filters.update(date=_date, time=_time, number=_number, percent=_percent, period=_period)
    environment.filters.update(moment=datetime.fromisoformat)
    environment.install_gettext_callables(_gettext, _ngettext, newstyle=True)  # type: ignore[attr-defined]
    environment.globals.update(site=config.site, static=partial(static_url, app), plural_forms=_plural_forms)


def markup(app: web.Application, template: str, language: Language, /, **context: object) -> str:
    """Return `template` rendered in `language`. Its context needs `here`, the path that the language links lead to."""
    environment = aiohttp_jinja2.get_env(app)
    return environment.get_template(template).render(context, language=language, languages=app[TRANSLATIONS].values())


def render(request: web.Request, template: str, /, *, status: int, **context: object) -> web.Response:
    """Return a page in the visitor's language that bypasses the page cache, such as an error page.

    The template gets `request_id`, and as `here` the path of the request unless `context` has another.
    """
    language = language_of(request)
    return web.Response(
        status=status,
        text=markup(
            request.app, template, language, **{"here": str(request.rel_url), "request_id": request_id(), **context}
        ),
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


@jinja2.pass_context
def _gettext(context: Context, message: str) -> str:
    return _language(context).gettext(message)


@jinja2.pass_context
def _ngettext(context: Context, singular: str, plural: str, number: int) -> str:
    return _language(context).ngettext(singular, plural, number)


@jinja2.pass_context
def _plural_forms(context: Context, singular: str, plural: str) -> str:
    """Return all plural forms for scripts, as JSON: {CLDR plural category, as in Intl.PluralRules: form}."""
    return json.dumps(_language(context).plural_forms(singular, plural), ensure_ascii=False)


@jinja2.pass_context
def _date(context: Context, moment: datetime) -> str:
    return _language(context).date(moment)


@jinja2.pass_context
def _time(context: Context, moment: datetime) -> str:
    return _language(context).time(moment)


@jinja2.pass_context
def _period(context: Context, within: tuple[int, ...]) -> str:
    return _language(context).period(*within)


@jinja2.pass_context
def _number(context: Context, number: int) -> str:
    return _language(context).number(number)


@jinja2.pass_context
def _percent(context: Context, share: int) -> str:
    return _language(context).percent(share)


def _language(context: Context) -> Language:
    language: Language = context["language"]
    return language
