"""The query of the admin's list: search words, filters, sort order, page. Invalid values in the URL are ignored."""

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from typing import TypeVar

from polls.domain.draft import replace_unprintable
from polls.domain.poll import FIRST_DAY, LAST_DAY, State, Visibility
from polls.storage.listing import Column, Period, PollFilter, SortKey
from polls.web.http.parameters import parse_number

_Member = TypeVar("_Member", bound=StrEnum)

_DEFAULT_ORDER = (SortKey(Column.PUBLISHED, descending=True),)
_MAX_LENGTH = 200  # characters of the search words


class DateFilter(StrEnum):
    """A range of publication dates, relative to today."""

    TODAY = "today"
    PAST_7_DAYS = "past7days"
    THIS_MONTH = "month"
    THIS_YEAR = "year"


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query. `within` is the selected year, month or day: (), (year,), (year, month), (year, month, day)."""

    words: str = ""
    dates: DateFilter | None = None
    state: State | None = None
    visibility: Visibility | None = None
    within: tuple[int, ...] = ()
    order: tuple[SortKey, ...] = _DEFAULT_ORDER
    page: int = 1

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> "Query":
        """Parse the parameters of a URL."""
        return cls(
            words=replace_unprintable(parameters.get("q", "")[:_MAX_LENGTH]).strip(),
            dates=_parse_member(DateFilter, parameters.get("date")),
            state=_parse_member(State, parameters.get("state")),
            visibility=_parse_member(Visibility, parameters.get("visibility")),
            within=_parse_within(parameters.get("in", "")),
            order=_parse_order(parameters.get("sort", "")) or _DEFAULT_ORDER,
            page=parse_number(parameters.get("page", "1")) or 1,
        )

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters for a URL, without those that have their default value."""
        parameters = {
            "q": self.words,
            "date": self.dates,
            "state": self.state,
            "visibility": self.visibility,
            "in": "-".join(map(str, self.within)),
            "sort": ",".join(f"{'-' if key.descending else ''}{key.column}" for key in self.order)
            if self.order != _DEFAULT_ORDER
            else "",
            "page": str(self.page) if self.page > 1 else "",
        }
        return {name: str(value) for name, value in parameters.items() if value}

    @property
    def is_filtered(self) -> bool:
        """Return whether it has words or filters."""
        return bool(self.words or self.dates or self.state or self.visibility or self.within)

    def replace(self, **changes: object) -> "Query":
        """Return a copy with `changes`, on the first page unless they name one."""
        return replace(self, **{"page": 1, **changes})  # type: ignore[arg-type]

    def sort_rank(self, column: Column) -> int | None:
        """Return the rank of `column` in the sort order, from 1; None if the list isn't sorted by it."""
        columns = [key.column for key in self.order]
        return columns.index(column) + 1 if column in columns else None

    def is_descending(self, column: Column) -> bool:
        """Return whether the list is sorted by `column`, descending."""
        return SortKey(column, descending=True) in self.order

    def sorted_by(self, column: Column) -> "Query":
        """Return a copy sorted by `column` first: ascending, or in the other direction if it was a sort key already."""
        is_new = self.sort_rank(column) is None
        key = SortKey(column, descending=not is_new and not self.is_descending(column))
        return self.replace(order=(key, *(other for other in self.order if other.column is not column)))

    def not_sorted_by(self, column: Column) -> "Query":
        """Return a copy that isn't sorted by `column`."""
        return self.replace(order=tuple(key for key in self.order if key.column is not column) or _DEFAULT_ORDER)

    def to_filter(self, now: datetime, zone: tzinfo) -> PollFilter:
        """Return the filter for the database; days begin at midnight in `zone`, and `now` decides which is today."""
        periods = []
        if self.dates is not None:
            periods.append(_period_of_filter(self.dates, now.astimezone(zone).date(), zone))
        if self.within:
            periods.append(period_of(self.within, zone))
        return PollFilter(now, tuple(periods), self.state, self.words, self.order, visibility=self.visibility)


def _parse_member(members: type[_Member], text: str | None) -> _Member | None:
    return members(text) if text in set(members) else None


def _parse_order(text: str) -> tuple[SortKey, ...]:
    keys: dict[Column, SortKey] = {}
    for part in text.split(",")[: len(Column)]:
        column = _parse_member(Column, part.removeprefix("-"))
        if column is not None:
            keys.setdefault(column, SortKey(column, descending=part.startswith("-")))
    return tuple(keys.values())


def _parse_within(text: str) -> tuple[int, ...]:
    parts = text.split("-")
    within = tuple(number for part in parts if (number := parse_number(part)))
    if not len(within) == len(parts) <= 3:
        return ()
    try:
        date(*(*within, 1, 1)[:3])
    except ValueError:
        return ()
    return within


def _period_of_filter(dates: DateFilter, today: date, zone: tzinfo) -> Period:
    if dates is DateFilter.PAST_7_DAYS:
        return _period_of_days(today - timedelta(days=7), today, zone)
    depth = {DateFilter.THIS_YEAR: 1, DateFilter.THIS_MONTH: 2, DateFilter.TODAY: 3}[dates]
    return period_of((today.year, today.month, today.day)[:depth], zone)


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
