"""A date field and a time field of a form, and their conversion from and to a moment in a time zone."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from polls.domain.poll import FIRST_DAY, LAST_DAY
from polls.web.pages.languages import Language

_DATE_TIME = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}(:[0-9]{2})?")


@dataclass(frozen=True, slots=True)
class DateTimeFields:
    """A date and a time as text, both empty for no moment."""

    date: str = ""
    time: str = ""


class InvalidDateTime(Exception):
    """The fields aren't a valid date and time; the message says why, for the visitor."""


def format_moment(moment: datetime | None, zone: tzinfo) -> DateTimeFields:
    """Return the fields for `moment` in `zone`, to the minute."""
    if moment is None:
        return DateTimeFields()
    local = moment.astimezone(zone)
    return DateTimeFields(local.date().isoformat(), local.strftime("%H:%M"))


def parse_moment(
    fields: DateTimeFields, zone: tzinfo, language: Language, *, saved: datetime | None = None
) -> datetime | None:
    """Return the moment in UTC, None if both fields are empty. Raises InvalidDateTime.

    If the fields still show `saved`, it is returned unchanged: parsing would lose its seconds and, in an hour that
    daylight saving time repeats, which of the two it is in.
    """
    _ = language.gettext
    fields = DateTimeFields(fields.date.strip(), fields.time.strip())
    if fields == DateTimeFields():
        return None
    if fields == format_moment(saved, zone):
        return saved
    if not fields.date or not fields.time:
        raise InvalidDateTime(_("Enter a date and a time."))
    local = _parse(fields, zone)
    if local is None:
        raise InvalidDateTime(_("Enter a valid date and time, such as 2026-05-03 and 18:00."))
    moment = local.astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) != local.replace(tzinfo=None):
        skipped = _("On this day the clock skips %(time)s. Choose a later time.")
        raise InvalidDateTime(skipped % {"time": f"{local:%H:%M}"})
    return moment


def _parse(fields: DateTimeFields, zone: tzinfo) -> datetime | None:
    text = f"{fields.date} {fields.time}"
    if not _DATE_TIME.fullmatch(text):
        return None
    try:
        local = datetime.fromisoformat(text).replace(tzinfo=zone)
    except ValueError:
        return None
    return local if FIRST_DAY <= local.date() <= LAST_DAY else None
