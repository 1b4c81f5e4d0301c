"""The calendar of the admin's list: the periods in which polls of the list were published."""

from collections.abc import Sequence
from dataclasses import replace

import aiopg.sa
import sqlalchemy as sa

from polls.storage.listing import Period, PollFilter, matching
from polls.storage.postgres.pool import Database, acquired
from polls.storage.tables import question

_TIMESTAMP = sa.DateTime(timezone=True)


async def span(database: Database) -> Period | None:
    """Return the period from the first publication date of all polls to the last, or None if there are no polls."""
    async with acquired(database) as connection:
        ends = sa.select(sa.func.min(question.c.pub_date).label("start"), sa.func.max(question.c.pub_date).label("end"))
        row = await (await connection.execute(ends)).first()
        return Period(row.start, row.end) if row.start else None


async def periods_with_polls(database: Database, poll_filter: PollFilter, periods: Sequence[Period]) -> list[Period]:
    """Return those of `periods`, which must be consecutive, in which matching polls were published."""
    async with acquired(database) as connection:
        # Without words and ids, an index answers this; most periods are excluded here.
        periods = await _with_polls(connection, replace(poll_filter, words="", ids=None), periods)
        if poll_filter.words and periods:
            periods = await _with_polls(connection, poll_filter, periods)
        if poll_filter.ids is None or not periods:
            return list(periods)
        # These polls are few enough to read all of them.
        starts = sa.cast([period.start for period in periods], sa.ARRAY(_TIMESTAMP))
        number = sa.func.width_bucket(question.c.pub_date, starts).label("number")
        found = await connection.execute(matching(poll_filter).add_columns(number).distinct())
        indexes = {row.number - 1 async for row in found}
    return [period for index, period in enumerate(periods) if index in indexes]


async def _with_polls(
    connection: aiopg.sa.SAConnection, poll_filter: PollFilter, periods: Sequence[Period]
) -> list[Period]:
    period = (
        sa.func.unnest(
            sa.cast([period.start for period in periods], sa.ARRAY(_TIMESTAMP)),
            sa.cast([period.end for period in periods], sa.ARRAY(_TIMESTAMP)),
        )
        .table_valued(sa.column("start", _TIMESTAMP), sa.column("end", _TIMESTAMP), with_ordinality="number")
        .render_derived("period")
    )
    pub_date = question.c.pub_date
    one = (
        matching(poll_filter).add_columns(pub_date).where(pub_date >= period.c.start, pub_date < period.c.end).limit(1)
    )
    found = await connection.execute(sa.select(period.c.number).join_from(period, one.lateral("one"), sa.true()))
    return [periods[index] for index in sorted([row.number - 1 async for row in found])]
