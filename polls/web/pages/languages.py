"""Which language a visitor reads, and the words in it."""

import gettext
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from functools import cache, lru_cache

from aiohttp import web
from babel import Locale
from babel.core import get_global
from babel.dates import format_date, format_skeleton
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent

from polls import paths
from polls.web.http.negotiation import preferences

# Each language by its tag (BCP 47): the name that its readers give it, and the locale of its dates and numbers
# (en_001 is the English of no country: 3 May 2026). The first is the one that the code is written in, and the one
# for whoever reads none of them.
LANGUAGES = {"en": ("English", "en_001"), "zh-Hans": ("简体中文", "zh_Hans")}


@dataclass(frozen=True, slots=True)
class Language:
    """A language that polls speaks: its tag, its own name, its rules for dates and numbers, and its words.

    Moments are written in the time zone `zone`.
    """

    tag: str
    name: str
    locale: Locale
    words: gettext.NullTranslations
    zone: tzinfo = UTC

    def gettext(self, message: str) -> str:
        """`message` in this language."""
        return self.words.gettext(message)

    def date(self, moment: datetime) -> str:
        """The day of `moment`: 3 May 2026."""
        return format_date(moment.astimezone(self.zone), "long", locale=self.locale)

    def time(self, moment: datetime) -> str:
        """The hour of `moment`, an aware datetime, with its zone: 18:00 UTC."""
        return f"{moment.astimezone(self.zone):%H:%M %Z}"

    def period(self, year: int, month: int | None = None, day: int | None = None) -> str:
        """A year, a month of it, or a day of that month: 2026, May 2026, 3 May."""
        if month is None:
            return format_date(date(year, 1, 1), "y", locale=self.locale)
        return format_skeleton("yMMMM" if day is None else "MMMMd", date(year, month, day or 1), locale=self.locale)

    def ngettext(self, singular: str, plural: str, number: int) -> str:
        """The form that fits `number`, in this language."""
        return self.words.ngettext(singular, plural, number)

    def plural_forms(self, singular: str, plural: str) -> dict[str, str]:
        """{category: form that fits its numbers}, in the categories that CLDR has for this language (one, few ...)."""
        examples = _examples(self.locale)
        return {category: self.ngettext(singular, plural, number) for category, number in examples.items()}

    def number(self, number: int) -> str:
        """A number as it is written: 1,284."""
        return _decimal(number, self.locale)

    def percent(self, share: int) -> str:
        """A whole percentage as it is written: 42%."""
        return _percent(share, self.locale)


TRANSLATIONS: web.AppKey[Mapping[str, Language]] = web.AppKey("translations")  # by language tag, the default first


def load_languages(zone: tzinfo = UTC) -> Mapping[str, Language]:
    """All languages by tag, their words read from the catalogues in polls/locale/, with moments in the zone `zone`."""
    return {
        tag: Language(tag, name, Locale.parse(locale), _words(locale), zone)
        for tag, (name, locale) in LANGUAGES.items()
    }


def negotiate(chosen: str | None, accept_language: str, languages: Mapping[str, Language]) -> Language:
    """The language that the visitor has `chosen`, else the best match for their browser's Accept-Language.

    Regions don't matter, scripts do: `zh-CN` and `zh` are served by `zh-Hans`, `zh-TW` is not.
    """
    if chosen is not None and chosen in languages:
        return languages[chosen]
    return languages[_best(accept_language, tuple(languages))]


@lru_cache(maxsize=1000)
def _best(accept_language: str, tags: tuple[str, ...]) -> str:
    """The tag that fits best. Remembered, since whole crowds prefer the same, in the same words."""
    for wanted in preferences(accept_language):
        for tag in tags:
            if _written(wanted) == _written(tag):
                return tag
    return tags[0]


@cache
def _examples(locale: Locale) -> dict[str, int]:
    """A number for each category of the plural rules."""
    return {locale.plural_form(number): number for number in range(200)}


# Remembered, since babel takes longer for a number than jinja2 for the rest of its row.


@lru_cache(maxsize=10_000)
def _decimal(number: int, locale: Locale) -> str:
    return format_decimal(number, locale=locale)


@lru_cache(maxsize=1_000)
def _percent(share: int, locale: Locale) -> str:
    return format_percent(share / 100, locale=locale)


def _written(tag: str) -> str:
    """The language of `tag` with the script that it is written in, as CLDR's likely subtags tell: `zh` is `zh_hans`."""
    language, *others = tag.lower().split("-")
    script = next((part for part in others if len(part) == len("hans")), None)
    if script is None:
        likely = get_global("likely_subtags")
        region = others[0].upper() if others else ""
        script = str(likely.get(f"{language}_{region}") or likely.get(language) or "_").lower().split("_")[1]
    return f"{language}_{script}"


def _words(locale: str) -> gettext.NullTranslations:
    """The catalogue of `locale`, compiled in memory: there is no compiled file that could be older than its source."""
    file = paths.LOCALE / locale / "LC_MESSAGES" / "polls.po"
    if not file.exists():  # the language that the messages themselves are written in
        return gettext.NullTranslations()
    compiled = io.BytesIO()
    with file.open("rb") as source:
        write_mo(compiled, read_po(source, locale=locale))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)
