"""The jinja2 environment, and the one way from a template to a response."""

from datetime import datetime
from functools import partial

import aiohttp_jinja2
import jinja2
from aiohttp import web
from babel.numbers import format_decimal, format_percent
from jinja2.runtime import Context

from polls import paths
from polls.web.keys import CONFIG, LANGUAGES
from polls.web.language import Language, negotiate
from polls.web.static import static_address

LANGUAGE_COOKIE = "language"
VARY = "Accept-Language, Cookie"  # what the language of an answer hangs on


def setup_templates(app: web.Application) -> None:
    """Give `app` its templates: the configured folder's, else ours."""
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
    environment.filters.update(date=_date, time=_time, number=_number, percent=_percent)
    environment.install_gettext_callables(_gettext, _ngettext, newstyle=True)  # type: ignore[attr-defined]
    environment.globals.update(site=config.site, static=partial(static_address, app))


def render(request: web.Request, template: str, /, *, status: int = 200, **context: object) -> web.Response:
    """A page in the visitor's language.

    `here` is the address that the language links come back to: this page's own, unless the caller names another.
    """
    language = language_of(request)
    languages = request.app[LANGUAGES].values()
    shared = {"language": language, "languages": languages, "here": str(request.rel_url)}
    response = aiohttp_jinja2.render_template(template, request, {**shared, **context}, status=status)
    response.headers["Content-Language"] = language.tag
    response.headers["Vary"] = VARY
    response.headers["Cache-Control"] = "no-cache"
    return response


def language_of(request: web.Request) -> Language:
    """The language that this request is answered in."""
    return negotiate(
        request.cookies.get(LANGUAGE_COOKIE),
        request.headers.get("Accept-Language", ""),
        request.app[LANGUAGES],
    )


@jinja2.pass_context
def _gettext(context: Context, message: str) -> str:
    return _language(context).gettext(message)


@jinja2.pass_context
def _ngettext(context: Context, singular: str, plural: str, number: int) -> str:
    return _language(context).ngettext(singular, plural, number)


@jinja2.pass_context
def _date(context: Context, moment: datetime) -> str:
    return _language(context).date(moment)


@jinja2.pass_context
def _time(context: Context, moment: datetime) -> str:
    return _language(context).time(moment)


@jinja2.pass_context
def _number(context: Context, number: int) -> str:
    return format_decimal(number, locale=_language(context).locale)


@jinja2.pass_context
def _percent(context: Context, share: int) -> str:
    return format_percent(share / 100, locale=_language(context).locale)


def _language(context: Context) -> Language:
    language: Language = context["language"]
    return language
