"""Periods of the calendar in which polls were published: years, months, days and ranges relative to today."""

from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum

from polls.domain.poll import FIRST_DAY, LAST_DAY
from polls.storage.listing import Period


class DateFilter(StrEnum):
    """A range of publication dates, relative to today."""

    TODAY = "today"
    PAST_7_DAYS = "past7days"
    THIS_MONTH = "month"
    THIS_YEAR = "year"


def period_of_filter(dates: DateFilter, today: date, zone: tzinfo) -> Period:
    """Return the period of the filter `dates` if it is `today` in `zone`."""
    match dates:
        case DateFilter.TODAY:
            return _period_of_days(today, today, zone)
        case DateFilter.PAST_7_DAYS:
            return _period_of_days(today - timedelta(days=7), today, zone)
        case DateFilter.THIS_MONTH:
            return period_of((today.year, today.month), zone)
        case DateFilter.THIS_YEAR:
            return period_of((today.year,), zone)


def period_of(within: tuple[int, ...], zone: tzinfo) -> Period:
    """Return the period of (year,), (year, month) or (year, month, day) in `zone`."""
    year, *rest = within
    match rest:
        case []:
            first, last = date(year, 1, 1), date(year, 12, 31)
        case [month]:
            first, last = date(year, month, 1), date(year, month, monthrange(year, month)[1])
        case _:
            first = last = date(year, *rest)
    return _period_of_days(first, last, zone)


def subperiods(within: tuple[int, ...], years: range) -> list[tuple[int, ...]]:
    """Return the months of the year `within`, the days of the month `within`, or all `years` if it is empty."""
    match within:
        case ():
            return [(year,) for year in years]
        case (year,):
            return [(year, month) for month in range(1, 13)]
        case (year, month):
            return [(year, month, day) for day in range(1, monthrange(year, month)[1] + 1)]
    return []


def _period_of_days(first: date, last: date, zone: tzinfo) -> Period:
    """Return the period from the start of `first` to the end of `last`."""
    return Period(_start_of_day(first, zone), _start_of_day(min(last, LAST_DAY) + timedelta(days=1), zone))


def _start_of_day(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(max(FIRST_DAY, day), time(0), zone).astimezone(UTC)
