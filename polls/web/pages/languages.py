"""The languages of the pages: negotiation, translations, dates and numbers."""

import gettext
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import cache, lru_cache

from aiohttp import web
from babel import Locale
from babel.core import get_global
from babel.dates import format_date, format_skeleton, format_timedelta
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, parse_pattern

from polls import paths
from polls.domain.tally import Figure
from polls.web.http.negotiation import MAX_LENGTH, preferences

# {tag (BCP 47): (name in the language itself, locale of dates and numbers)}. en_001 is international English: 3 May
# 2026. The first is the language of the messages in the code, and the default.
LANGUAGES = {"en": ("English", "en_001"), "zh-Hans": ("简体中文", "zh_Hans")}

# Cached: babel takes longer to format a number than jinja2 takes for the rest of its row.
_decimal = lru_cache(maxsize=10_000)(format_decimal)
_timedelta = lru_cache(maxsize=1_000)(format_timedelta)

_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Language:
    """A language: its tag (BCP 47), its name in itself, its locale, its translations, the time zone of its dates."""

    tag: str
    name: str
    locale: Locale
    translations: gettext.NullTranslations
    zone: tzinfo = UTC

    def gettext(self, message: str) -> str:
        """Return the translation of `message`."""
        return self.translations.gettext(message)

    def date(self, moment: datetime) -> str:
        """Format the date of `moment`, an aware datetime: 3 May 2026."""
        return format_date(moment.astimezone(self.zone), "long", locale=self.locale)

    def time(self, moment: datetime) -> str:
        """Format the time of `moment`, an aware datetime, with its zone: 18:00 UTC."""
        return f"{moment.astimezone(self.zone):%H:%M %Z}"

    def relative(self, moment: datetime, now: datetime) -> str:
        """Return how far away `moment` is: in 2 hours, yesterday, 3 weeks ago. Return "" if that is less than an hour.

        static/js/dates.js replaces these words with the same rules; in minutes they would soon be false without it.
        """
        distance = moment - now
        days = (moment.astimezone(self.zone).date() - now.astimezone(self.zone).date()).days
        if abs(distance) < _HOUR:
            return ""
        if days == 0 or abs(distance) < 12 * _HOUR:
            hours = min(round(abs(distance) / _HOUR), 23)
            return self._from_now(timedelta(hours=hours if distance > timedelta() else -hours))
        if abs(days) == 1:
            return self.gettext("tomorrow") if days > 0 else self.gettext("yesterday")
        return self._from_now(timedelta(days=days))

    def _from_now(self, distance: timedelta) -> str:
        return _timedelta(distance, add_direction=True, threshold=1, locale=self.locale)

    def period(self, within: tuple[int, ...]) -> str:
        """Format (year,), (year, month) or (year, month, day): 2026, May 2026, 3 May."""
        year, month, day = (*within, 1, 1)[:3]
        skeleton = ("y", "yMMMM", "MMMMd")[len(within) - 1]
        return format_skeleton(skeleton, date(year, month, day), locale=self.locale)

    def ngettext(self, singular: str, plural: str, number: int) -> str:
        """Return the translation in the plural form for `number`."""
        return self.translations.ngettext(singular, plural, number)

    def plural_forms(self, singular: str, plural: str) -> str:
        """Return all plural forms for scripts, as JSON: {CLDR plural category, as in Intl.PluralRules: form}."""
        examples = _examples(self.locale).items()
        forms = {category: self.ngettext(singular, plural, number) for category, number in examples}
        return json.dumps(forms, ensure_ascii=False)

    def number(self, number: int) -> str:
        """Format an integer: 1,284."""
        return _decimal(number, locale=self.locale)

    def percent(self, share: Figure) -> str:
        """Format a share of votes: 42%, 42.0%, <1%."""
        return share.sign + _percent(share.value, share.decimals, self.locale)

    def average(self, average: Figure | None) -> str:
        """Format an average: 3.4, or a dash if there is none."""
        return "\N{EN DASH}" if average is None else _decimals(average.value, average.decimals, self.locale)


TRANSLATIONS: web.AppKey[Mapping[str, Language]] = web.AppKey("translations")  # by language tag, the default first


def load_languages(zone: tzinfo = UTC) -> Mapping[str, Language]:
    """Return {tag: language} with the translations in polls/locale/, and dates and times in the zone `zone`."""
    return {
        tag: Language(tag, name, Locale.parse(locale), _translations(locale), zone)
        for tag, (name, locale) in LANGUAGES.items()
    }


def negotiate(chosen: str | None, accept_language: str, languages: Mapping[str, Language]) -> Language:
    """Return the language that the visitor has `chosen`, else the best match for their Accept-Language header.

    Scripts are compared, regions are not: `zh-CN` and `zh` match `zh-Hans`, `zh-TW` doesn't.
    """
    if chosen is not None and chosen in languages:
        return languages[chosen]
    # Shortened here, too: the cache keeps it.
    return languages[_best(accept_language[:MAX_LENGTH], tuple(languages))]


@lru_cache(maxsize=1000)  # of MAX_LENGTH characters each
def _best(accept_language: str, tags: tuple[str, ...]) -> str:
    """Return the best matching tag. Cached: most browsers send one of a few headers."""
    for preferred in preferences(accept_language):
        for tag in tags:
            if _with_script(preferred) == _with_script(tag):
                return tag
    return tags[0]


@lru_cache(maxsize=10_000)
def _percent(percent: float, decimals: int, locale: Locale) -> str:
    pattern = parse_pattern(locale.percent_formats[None].pattern)
    pattern.frac_prec = decimals, decimals
    return str(pattern.apply(percent / 100, locale))


@lru_cache(maxsize=10_000)
def _decimals(number: float, decimals: int, locale: Locale) -> str:
    pattern = parse_pattern(locale.decimal_formats[None].pattern)
    pattern.frac_prec = decimals, decimals
    return str(pattern.apply(number, locale))


@cache
def _examples(locale: Locale) -> dict[str, int]:
    return {locale.plural_form(number): number for number in range(200)}


def _with_script(tag: str) -> str:
    """Return the language of `tag` with its script, by CLDR's likely subtags if it has none: `zh_hans` for `zh`."""
    language, *others = tag.lower().split("-")
    script = next((part for part in others if len(part) == len("hans")), None)
    if script is None:
        likely = get_global("likely_subtags")
        region = others[0].upper() if others else ""
        script = str(likely.get(f"{language}_{region}") or likely.get(language) or "_").lower().split("_")[1]
    return f"{language}_{script}"


def _translations(locale: str) -> gettext.NullTranslations:
    """Return the catalogue of `locale`, compiled in memory: a compiled file could be older than its source."""
    file = paths.LOCALE / locale / "LC_MESSAGES" / "polls.po"
    if not file.exists():  # the language of the messages in the code
        return gettext.NullTranslations()
    compiled = io.BytesIO()
    with file.open("rb") as source:
        write_mo(compiled, read_po(source, locale=locale))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)
