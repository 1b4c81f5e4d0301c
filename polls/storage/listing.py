"""The list of all polls, for those who look after them: filtered, searched, sorted, and fast for very many.

The database can't sort hundreds of thousands of polls by what no index knows (whether a poll is open, say) while
somebody waits. So what comes first in the order is taken apart into parts that stand one behind the other, each of
which an index can yield, and a page is read from the parts that it touches.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

import aiopg.sa
import sqlalchemy as sa

from polls.domain.poll import RECENTLY, Question, State
from polls.storage.postgres.pool import Database, acquired
from polls.storage.questions import QUESTION, as_question
from polls.storage.tables import choice, question, question_words

MOST_COUNTED = 10_000  # polls; beyond that it is only known that there are more

_MOMENT = sa.DateTime(timezone=True)
_EXACT = 16  # magnitudes below are numbers of ballots: see sql/0006_finding_polls.sql


class Column(StrEnum):
    """What the list can be sorted by."""

    TEXT = "text"
    PUBLISHED = "published"
    RECENT = "recent"
    STATE = "state"
    BALLOTS = "ballots"


@dataclass(frozen=True, slots=True)
class Key:
    """A column to sort by, and in which direction."""

    column: Column
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Period:
    """From one moment until before another."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class PollFilter:
    """Which polls, as of `now`, in which order: those in all `periods`, in this `state`, with words like `words`.

    `among` are the only ones that come into question, where they are known: their ids, as PostgreSQL writes an array.
    """

    now: datetime
    periods: tuple[Period, ...] = ()
    state: State | None = None
    words: str = ""
    order: tuple[Key, ...] = (Key(Column.PUBLISHED, descending=True),)
    among: str | None = None


@dataclass(frozen=True, slots=True)
class PollRow:
    """A poll in the list."""

    question: Question
    ballots: int
    has_choices: bool


async def prefetch_matches(database: Database, wanted: PollFilter) -> tuple[PollFilter, int]:
    """The same list, narrowed to its polls where they have words in common and aren't too many; and how many they are.

    MOST_COUNTED + 1 says that they are more. To look words up takes longest, so that it is done once; and PostgreSQL
    guesses badly how many polls have the beginning of a word.
    """
    found = _chosen(wanted).add_columns(question.c.id).limit(MOST_COUNTED + 1).subquery()
    asked = sa.select(sa.func.count().label("count")).select_from(found)
    if wanted.words:
        # The array stays text: to make thousands of numbers of it, and text again, would take longer than all the rest.
        ids = sa.cast(sa.func.array_agg(found.c.id), sa.Text)
        asked = asked.add_columns(sa.func.coalesce(ids, "{}").label("ids"))
    async with acquired(database) as connection:
        row = await (await connection.execute(asked)).first()
    if not wanted.words or row.count > MOST_COUNTED:
        return wanted, row.count
    return PollFilter(wanted.now, order=wanted.order, among=row.ids), row.count


async def page(database: Database, wanted: PollFilter, *, skip: int, limit: int) -> list[PollRow]:
    """The polls that are wanted, without the first `skip` of them, `limit` at most."""
    rows: list[Any] = []
    async with acquired(database) as connection:
        for part, order in _parts(wanted):
            chosen = _chosen(wanted).where(part)
            some = chosen.add_columns(*QUESTION, question.c.ballots).order_by(*order)
            found = await (await connection.execute(some.offset(skip).limit(limit - len(rows)))).fetchall()
            rows += found
            if len(rows) == limit:
                break
            if found:
                skip = 0
            elif skip:
                before = chosen.add_columns(sa.literal(1).label("one")).limit(skip).subquery()
                skip -= await connection.scalar(sa.select(sa.func.count()).select_from(before))
        # Asked for these alone: in the query above, PostgreSQL would rather read all choices that there are.
        asked = sa.select(choice.c.question_id).where(choice.c.question_id.in_([row.id for row in rows])).distinct()
        with_choices = {row.question_id async for row in await connection.execute(asked)}
    return [PollRow(as_question(row), row.ballots, row.id in with_choices) for row in rows]


async def span(database: Database) -> Period | None:
    """From the publication of the first of all polls to that of the last; None where there are no polls."""
    async with acquired(database) as connection:
        ends = sa.select(sa.func.min(question.c.pub_date).label("start"), sa.func.max(question.c.pub_date).label("end"))
        row = await (await connection.execute(ends)).first()
        return Period(row.start, row.end) if row.start else None


async def periods_with_polls(database: Database, wanted: PollFilter, periods: Sequence[Period]) -> list[Period]:
    """Those of `periods`, which follow one another, in which some of the wanted polls were published."""
    async with acquired(database) as connection:
        # But for words and ids, an index tells in which there are any.
        periods = await _with_polls(connection, replace(wanted, words="", among=None), periods)
        if wanted.words and periods:
            periods = await _with_polls(connection, wanted, periods)
        if wanted.among is None or not periods:
            return list(periods)
        # They are few enough to be looked at one by one.
        starts = sa.cast([period.start for period in periods], sa.ARRAY(_MOMENT))
        places = sa.func.width_bucket(question.c.pub_date, starts).label("place")
        found = await connection.execute(_chosen(wanted).add_columns(places).distinct())
        here = {row.place - 1 async for row in found}
    return [period for place, period in enumerate(periods) if place in here]


async def _with_polls(connection: aiopg.sa.SAConnection, wanted: PollFilter, periods: Sequence[Period]) -> list[Period]:
    period = (
        sa.func.unnest(
            sa.cast([period.start for period in periods], sa.ARRAY(_MOMENT)),
            sa.cast([period.end for period in periods], sa.ARRAY(_MOMENT)),
        )
        .table_valued(sa.column("start", _MOMENT), sa.column("end", _MOMENT), with_ordinality="place")
        .render_derived("period")
    )
    pub_date = question.c.pub_date
    # One poll of each is looked for, and no more.
    one = _chosen(wanted).add_columns(pub_date).where(pub_date >= period.c.start, pub_date < period.c.end).limit(1)
    found = await connection.execute(sa.select(period.c.place).join_from(period, one.lateral("one"), sa.true()))
    return [periods[place] for place in sorted([row.place - 1 async for row in found])]


def _chosen(wanted: PollFilter) -> sa.sql.Select:
    """A query for the polls that are let through, with no columns yet."""
    chosen = sa.select().select_from(question)
    for period in wanted.periods:
        chosen = chosen.where(question.c.pub_date >= period.start, question.c.pub_date < period.end)
    if wanted.state is not None:
        chosen = chosen.where(_is_in(wanted.state, wanted.now))
    if wanted.words:
        chosen = chosen.join(question_words, question_words.c.question_id == question.c.id).where(_has(wanted.words))
    if wanted.among is not None:
        ids = sa.cast(sa.literal(wanted.among, sa.Text), sa.ARRAY(sa.Integer))
        chosen = chosen.where(question.c.id == sa.any_(ids))
    return chosen


def _has(words: str) -> Any:  # noqa: ANN401 - SQLAlchemy 1.4 has no types
    return question_words.c.words.op("@@")(sa.func.beginnings_of(words))


def _is_in(state: State, moment: datetime) -> Any:  # noqa: ANN401 - SQLAlchemy 1.4 has no types
    pub_date, closes_at = question.c.pub_date, question.c.closes_at
    match state:
        case State.SCHEDULED:
            return pub_date > moment
        case State.OPEN:
            return sa.and_(pub_date <= moment, sa.or_(closes_at.is_(None), closes_at > moment))
        case State.CLOSED:
            return sa.and_(pub_date <= moment, closes_at <= moment)


def _is_recent(moment: datetime) -> Any:  # noqa: ANN401
    return question.c.pub_date.between(moment - RECENTLY, moment)


def _parts(wanted: PollFilter) -> Iterator[tuple[Any, list[Any]]]:
    """The parts that make up the list, one behind the other: what is in each, and how it is ordered."""
    first, *others = wanted.order
    rest = [column for key in others for column in _sorting(key, wanted.now)]
    match first.column:
        case _ if wanted.among is not None:  # they are few, and sorted faster than found in the order of an index
            yield sa.true(), [*_sorting(first, wanted.now), *rest, *_ending(first)]
            return
        case Column.TEXT | Column.PUBLISHED:
            parts = [(sa.true(), [*_sorting(first, wanted.now), *rest])]
        case Column.RECENT:
            recent = _is_recent(wanted.now)
            parts = [(sa.not_(recent), rest), (recent, rest)]
        case Column.STATE:
            parts = [(_is_in(state, wanted.now), rest) for state in State if wanted.state in {None, state}]
        case Column.BALLOTS:
            few, many = question.c.magnitude < _EXACT, question.c.magnitude >= _EXACT
            magnitude = _directed(question.c.magnitude, descending=first.descending)
            parts = [(few, [magnitude, *rest]), (many, [magnitude, *_sorting(first, wanted.now), *rest])]
    for part, order in reversed(parts) if first.descending else parts:
        yield part, [*order, *_ending(first)]


def _ending(first: Key) -> list[Any]:
    """What decides between polls that are the same in all else, so that an index on the `first` key knows it, too."""
    match first.column:
        case Column.TEXT:
            return [_directed(question.c.id, descending=first.descending)]
        case Column.PUBLISHED | Column.BALLOTS:
            descending = first.descending
        case Column.RECENT | Column.STATE:
            descending = True
    return [_directed(column, descending=descending) for column in (question.c.pub_date, question.c.id)]


def _sorting(key: Key, moment: datetime) -> Iterator[Any]:
    match key.column:
        case Column.TEXT:
            by = question.c.question_text
        case Column.PUBLISHED:
            by = question.c.pub_date
        case Column.RECENT:
            by = _is_recent(moment)
        case Column.STATE:
            by = sa.case(*((_is_in(state, moment), place) for place, state in enumerate(State)))
        case Column.BALLOTS:
            by = question.c.ballots
    yield _directed(by, descending=key.descending)


def _directed(column: Any, *, descending: bool) -> Any:  # noqa: ANN401
    return column.desc() if descending else column.asc()
