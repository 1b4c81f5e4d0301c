"""What the address of the admin's list asks for: words, dates, states, an order, a page. Nonsense is passed over."""

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from typing import TypeVar

from polls.domain.draft import legible
from polls.domain.poll import FIRST_DAY, LAST_DAY, State
from polls.storage.listing import Column, Key, Period, PollFilter
from polls.web.http.numbers import number

_Member = TypeVar("_Member", bound=StrEnum)

_DEFAULT_ORDER = (Key(Column.PUBLISHED, descending=True),)
_LONGEST = 200  # characters that are looked for


class Dates(StrEnum):
    """When polls were published, as the filter has it."""

    TODAY = "today"
    PAST_7_DAYS = "past7days"
    THIS_MONTH = "month"
    THIS_YEAR = "year"


@dataclass(frozen=True, slots=True)
class Query:
    """What to list. `within` is a year, or with a month, or with a day: as far as the reader went into the calendar."""

    words: str = ""
    dates: Dates | None = None
    state: State | None = None
    within: tuple[int, ...] = ()
    order: tuple[Key, ...] = _DEFAULT_ORDER
    page: int = 1

    @classmethod
    def read(cls, parameters: Mapping[str, str]) -> "Query":
        """What the parameters of an address say."""
        return cls(
            words=legible(parameters.get("q", "")).strip()[:_LONGEST],
            dates=_member(Dates, parameters.get("date")),
            state=_member(State, parameters.get("state")),
            within=_within(parameters.get("in", "")),
            order=_order(parameters.get("sort", "")) or _DEFAULT_ORDER,
            page=number(parameters.get("page", "1")) or 1,
        )

    @property
    def parameters(self) -> dict[str, str]:
        """The same, for an address; what is as always is left out."""
        parameters = {
            "q": self.words,
            "date": self.dates,
            "state": self.state,
            "in": "-".join(map(str, self.within)),
            "sort": ",".join(f"{'-' if key.descending else ''}{key.column}" for key in self.order)
            if self.order != _DEFAULT_ORDER
            else "",
            "page": str(self.page) if self.page > 1 else "",
        }
        return {name: str(value) for name, value in parameters.items() if value}

    def replace(self, **changes: object) -> "Query":
        """The first page of the same list with some of it changed."""
        return replace(self, **{"page": 1, **changes})  # type: ignore[arg-type]

    def place_in_order(self, column: Column) -> int | None:
        """Which of the columns that it is sorted by this one is, from 1."""
        columns = [key.column for key in self.order]
        return columns.index(column) + 1 if column in columns else None

    def is_descending(self, column: Column) -> bool:
        """Whether it is sorted downwards by this column."""
        return Key(column, descending=True) in self.order

    def sorted_by(self, column: Column) -> "Query":
        """Sorted by this column first, in the other direction if it was sorted by it already."""
        is_first_time = self.place_in_order(column) is None
        key = Key(column, descending=not is_first_time and not self.is_descending(column))
        return self.replace(order=(key, *(other for other in self.order if other.column is not column)))

    def not_sorted_by(self, column: Column) -> "Query":
        """No longer sorted by this column."""
        return self.replace(order=tuple(key for key in self.order if key.column is not column) or _DEFAULT_ORDER)

    def wanted(self, now: datetime, zone: tzinfo) -> PollFilter:
        """The same in moments: what the days of `zone` are at `now`."""
        periods = []
        if self.dates is not None:
            periods.append(_period(self.dates, now.astimezone(zone).date(), zone))
        if self.within:
            periods.append(period_of(self.within, zone))
        return PollFilter(now, tuple(periods), self.state, self.words, self.order)


def period_of(within: tuple[int, ...], zone: tzinfo) -> Period:
    """A year, a month of a year, or a day of a month, as it is in `zone`."""
    year, *rest = within
    match rest:
        case []:
            first, last = date(year, 1, 1), date(year, 12, 31)
        case [month]:
            first, last = date(year, month, 1), date(year, month, monthrange(year, month)[1])
        case _:
            first = last = date(year, *rest)
    return _days(first, last, zone)


def subperiods(within: tuple[int, ...], years: range) -> list[tuple[int, ...]]:
    """What lies in a part of the calendar: the `years`, the months of a year, the days of a month."""
    match within:
        case ():
            return [(year,) for year in years]
        case (year,):
            return [(year, month) for month in range(1, 13)]
        case (year, month):
            return [(year, month, day) for day in range(1, monthrange(year, month)[1] + 1)]
    return []


def _period(dates: Dates, today: date, zone: tzinfo) -> Period:
    match dates:
        case Dates.TODAY:
            return _days(today, today, zone)
        case Dates.PAST_7_DAYS:
            return _days(today - timedelta(days=7), today, zone)
        case Dates.THIS_MONTH:
            return period_of((today.year, today.month), zone)
        case Dates.THIS_YEAR:
            return period_of((today.year,), zone)


def _days(first: date, last: date, zone: tzinfo) -> Period:
    """From the beginning of the first day to the end of the last."""
    return Period(_beginning(first, zone), _beginning(min(last, LAST_DAY) + timedelta(days=1), zone))


def _beginning(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(max(FIRST_DAY, day), time(0), zone).astimezone(UTC)


def _member(choices: type[_Member], text: str | None) -> _Member | None:
    return choices(text) if text in set(choices) else None


def _order(text: str) -> tuple[Key, ...]:
    keys: dict[Column, Key] = {}
    for part in text.split(",")[: len(Column)]:
        column = _member(Column, part.removeprefix("-"))
        if column is not None:
            keys.setdefault(column, Key(column, descending=part.startswith("-")))
    return tuple(keys.values())


def _within(text: str) -> tuple[int, ...]:
    parts = [number(part) for part in text.split("-")]
    if None in parts or len(parts) > 3:
        return ()
    year, month, day = (*(part or 1 for part in parts), 1, 1)[:3]
    try:
        date(year, month, day)
    except ValueError:
        return ()
    return tuple(part for part in parts if part is not None)
