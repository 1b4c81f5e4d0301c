"""The admin's list of all polls: filtered, searched and sorted, one page at a time.

Sorting hundreds of thousands of polls by what no index contains (the state of a poll, say) takes too long for a
request. So the list is divided by its first sort key into consecutive sections, each of which an index yields in order,
and a page is read from the sections that it overlaps.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import aiopg.sa
import sqlalchemy as sa

from polls.domain.poll import RECENTLY, Question, State, Visibility
from polls.storage.postgres.pool import Database, acquired
from polls.storage.questions import QUESTION, as_question
from polls.storage.tables import choice, question, question_words

MAX_COUNT = 10_000  # matching polls are counted up to this number

_VISIBLE = {
    Visibility.LISTED: sa.and_(question.c.is_listed, question.c.hidden_at.is_(None)),
    Visibility.UNLISTED: sa.and_(sa.not_(question.c.is_listed), question.c.hidden_at.is_(None)),
    Visibility.TAKEN_DOWN: question.c.hidden_at.is_not(None),
}

_FIRST_ROUNDED = 16  # smaller magnitudes are exact numbers of ballots: see question.magnitude in sql/README.md


class Column(StrEnum):
    """Columns that the list can be sorted by."""

    TEXT = "text"
    PUBLISHED = "published"
    RECENT = "recent"
    STATE = "state"
    BALLOTS = "ballots"


@dataclass(frozen=True, slots=True)
class SortKey:
    """A column to sort by, and the direction."""

    column: Column
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Period:
    """The time from `start` until before `end`; both are aware datetimes."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class PollFilter:
    """Criteria and order of the list: published in all of `periods`, in `state` as of `now`, matching all `words`.

    `visibility` is where the public finds them. A poll matches a word if one of its own words contains it. `ids` is the
    text of a PostgreSQL array, the ids of the polls that match already (see `prefetch_matches`), or None.
    """

    now: datetime
    periods: tuple[Period, ...] = ()
    state: State | None = None
    words: str = ""
    order: tuple[SortKey, ...] = (SortKey(Column.PUBLISHED, descending=True),)
    ids: str | None = None
    visibility: Visibility | None = None


@dataclass(frozen=True, slots=True)
class PollRow:
    """A poll in the list."""

    question: Question
    ballots: int
    has_choices: bool


async def prefetch_matches(
    database: Database, poll_filter: PollFilter, *, max_count: int = MAX_COUNT
) -> tuple[PollFilter, int]:
    """Count the matching polls, and return a filter for them together with their number.

    The number is `max_count + 1` if there are more than `max_count`. Otherwise, if the filter has words, the returned
    one has the polls' ids in their place: searching words is the slowest part and is done once, and PostgreSQL
    estimates badly how many polls match a part of a word.
    """
    matches = matching(poll_filter).add_columns(question.c.id).limit(max_count + 1).subquery()
    query = sa.select(sa.func.count().label("count")).select_from(matches)
    if poll_filter.words:
        # The array stays text: parsing thousands of numbers and writing them again would take longer than the query.
        ids = sa.cast(sa.func.array_agg(matches.c.id), sa.Text)
        query = query.add_columns(sa.func.coalesce(ids, "{}").label("ids"))
    async with acquired(database) as connection:
        row = await (await connection.execute(query)).first()
    if not poll_filter.words or row.count > max_count:
        return poll_filter, row.count
    return PollFilter(poll_filter.now, order=poll_filter.order, ids=row.ids), row.count


async def page(database: Database, poll_filter: PollFilter, *, skip: int, limit: int) -> list[PollRow]:
    """Return at most `limit` matching polls, in order, after the first `skip`."""
    async with acquired(database) as connection:
        rows = await _rows(connection, poll_filter, [*QUESTION, question.c.ballots], skip=skip, limit=limit)
        # A query of its own: joined to the one above, PostgreSQL would read the choices of all polls.
        query = sa.select(choice.c.question_id).where(choice.c.question_id.in_([row.id for row in rows])).distinct()
        with_choices = {row.question_id async for row in await connection.execute(query)}
    return [PollRow(as_question(row), row.ballots, row.id in with_choices) for row in rows]


async def ids(database: Database, poll_filter: PollFilter, *, limit: int) -> list[int]:
    """Return the ids of at most `limit` matching polls, in order."""
    async with acquired(database) as connection:
        return [row.id for row in await _rows(connection, poll_filter, [question.c.id], skip=0, limit=limit)]


async def _rows(
    connection: aiopg.sa.SAConnection, poll_filter: PollFilter, columns: Sequence[Any], *, skip: int, limit: int
) -> list[Any]:
    rows: list[Any] = []
    for section, order in _sections(poll_filter):
        in_section = matching(poll_filter).where(section)
        ordered = in_section.add_columns(*columns).order_by(*order)
        found = await (await connection.execute(ordered.offset(skip).limit(limit - len(rows)))).fetchall()
        rows += found
        if len(rows) == limit:
            break
        if found:
            skip = 0
        elif skip:
            skipped = in_section.add_columns(sa.literal(1).label("one")).limit(skip).subquery()
            skip -= await connection.scalar(sa.select(sa.func.count()).select_from(skipped))
    return rows


def _sections(poll_filter: PollFilter) -> Iterator[tuple[Any, list[Any]]]:
    first, *others = poll_filter.order
    rest = [_sorted_by(key, poll_filter.now) for key in others]
    match first.column:
        case _ if poll_filter.ids is not None:  # few polls: sorting them is faster than reading an index in its order
            yield sa.true(), [_sorted_by(first, poll_filter.now), *rest, *_tie_break(first)]
            return
        case Column.TEXT | Column.PUBLISHED:
            sections = [(sa.true(), [_sorted_by(first, poll_filter.now), *rest])]
        case Column.RECENT:
            recent = _is_recent(poll_filter.now)
            sections = [(sa.not_(recent), rest), (recent, rest)]
        case Column.STATE:
            sections = [(_is_in(state, poll_filter.now), rest) for state in State if poll_filter.state in {None, state}]
        case Column.BALLOTS:
            few, many = question.c.magnitude < _FIRST_ROUNDED, question.c.magnitude >= _FIRST_ROUNDED
            magnitude = _directed(question.c.magnitude, descending=first.descending)
            sections = [(few, [magnitude, *rest]), (many, [magnitude, _sorted_by(first, poll_filter.now), *rest])]
    for section, order in reversed(sections) if first.descending else sections:
        yield section, [*order, *_tie_break(first)]


def matching(poll_filter: PollFilter) -> sa.sql.Select:
    """Return a query for the matching polls, without columns."""
    query = sa.select().select_from(question)
    for period in poll_filter.periods:
        query = query.where(question.c.pub_date >= period.start, question.c.pub_date < period.end)
    if poll_filter.state is not None:
        query = query.where(_is_in(poll_filter.state, poll_filter.now))
    if poll_filter.visibility is not None:
        query = query.where(_VISIBLE[poll_filter.visibility])
    if poll_filter.words or any(key.column is Column.TEXT for key in poll_filter.order):
        query = query.join(question_words, question_words.c.question_id == question.c.id)
    if poll_filter.words:
        query = query.where(question_words.c.words.op("@@")(sa.func.beginnings_of(poll_filter.words)))
    if poll_filter.ids is not None:
        ids = sa.cast(sa.literal(poll_filter.ids, sa.Text), sa.ARRAY(sa.Integer))
        query = query.where(question.c.id == sa.any_(ids))
    return query


def _tie_break(first: SortKey) -> list[Any]:
    """Return the columns that order polls with equal keys, such that the index on the `first` key contains them."""
    match first.column:
        case Column.TEXT:
            return [_directed(question_words.c.question_id, descending=first.descending)]
        case Column.PUBLISHED | Column.BALLOTS:
            descending = first.descending
        case Column.RECENT | Column.STATE:
            descending = True
    return [_directed(column, descending=descending) for column in (question.c.pub_date, question.c.id)]


def _sorted_by(key: SortKey, now: datetime) -> Any:  # noqa: ANN401 - SQLAlchemy 1.4 has no types
    match key.column:
        case Column.TEXT:
            by = question_words.c.folded
        case Column.PUBLISHED:
            by = question.c.pub_date
        case Column.RECENT:
            by = _is_recent(now)
        case Column.STATE:
            by = sa.case(*((_is_in(state, now), index) for index, state in enumerate(State)))
        case Column.BALLOTS:
            by = question.c.ballots
    return _directed(by, descending=key.descending)


def _is_in(state: State, now: datetime) -> Any:  # noqa: ANN401 - SQLAlchemy 1.4 has no types
    pub_date, closes_at = question.c.pub_date, question.c.closes_at
    match state:
        case State.SCHEDULED:
            return pub_date > now
        case State.OPEN:
            return sa.and_(pub_date <= now, sa.or_(closes_at.is_(None), closes_at > now))
        case State.CLOSED:
            return sa.and_(pub_date <= now, closes_at <= now)


def _is_recent(now: datetime) -> Any:  # noqa: ANN401 - SQLAlchemy 1.4 has no types
    return question.c.pub_date.between(now - RECENTLY, now)


def _directed(column: Any, *, descending: bool) -> Any:  # noqa: ANN401 - SQLAlchemy 1.4 has no types
    return column.desc() if descending else column.asc()
