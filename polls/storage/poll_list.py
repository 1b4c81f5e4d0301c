"""Reading of the public list of polls."""

from datetime import datetime
from functools import cache
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from polls.domain.poll import State
from polls.domain.poll_list import MAX_COUNT, PAGE_SIZE, ListPage, ListQuery, listed
from polls.storage.postgres.pool import Database, acquired
from polls.storage.postgres.statements import compiled
from polls.storage.questions import POLL, as_poll
from polls.storage.tables import choice, poll_settings, question, question_words

# Questions that the list shows: they are listed, and the public may see them (`domain.poll.Poll.is_published`), by the
# database's clock. The first two conditions are those of the index question_listed_idx.
_LISTED = sa.and_(
    question.c.is_listed,
    question.c.hidden_at.is_(None),
    question.c.pub_date <= sa.func.now(),
    sa.exists().where(choice.c.question_id == question.c.id).correlate(question),
)

_STATES: dict[State | None, Any] = {
    None: sa.true(),
    State.OPEN: sa.or_(question.c.closes_at.is_(None), question.c.closes_at > sa.func.now()),
    State.CLOSED: question.c.closes_at <= sa.func.now(),
}

_NEXT_TRANSITION = compiled(
    sa.select(
        sa.func.least(
            *(
                sa.select(sa.func.min(moment)).where(moment > sa.func.now()).scalar_subquery()
                for moment in (question.c.pub_date, question.c.closes_at)
            )
        ).label("moment")
    )
)


async def read(database: Database, query: ListQuery) -> ListPage:
    """Return a page of the list."""
    count_matching, read_page = statements(query.state, has_words=bool(query.words))
    values: dict[str, object] = {"max_count": MAX_COUNT + 1}
    if query.words:
        values["words"] = query.words
    async with acquired(database) as connection:
        count = await connection.scalar(count_matching, values)
        # One more than a page has, to know whether there are older ones.
        values = {**values, "skip": (query.page - 1) * PAGE_SIZE, "limit": PAGE_SIZE + 1}
        rows = await (await connection.execute(read_page, values)).fetchall()
    polls = [listed(as_poll(list(poll_rows))) for _, poll_rows in groupby(rows, lambda row: row.id)]
    return ListPage(tuple(polls[:PAGE_SIZE]), count, has_older=len(polls) > PAGE_SIZE)


async def next_transition(database: Database) -> datetime | None:
    """Return the next date at which a question is published or closed, or None if there is none."""
    async with acquired(database) as connection:
        moment: datetime | None = await connection.scalar(_NEXT_TRANSITION)
        return moment


@cache
def statements(state: State | None, *, has_words: bool) -> tuple[str, str]:
    """Return the statements that count the polls in `state`, and that read some of them with their choices."""
    newest_first = question.c.pub_date.desc(), question.c.id.desc()
    matching = sa.select(question.c.id).where(_LISTED, _STATES[state]).order_by(*newest_first)
    if has_words:
        contains_all = question_words.c.words.op("@@")(sa.func.beginnings_of(sa.bindparam("words", type_=sa.Text)))
        matching = matching.join(question_words, question_words.c.question_id == question.c.id).where(contains_all)
    counted = matching.limit(sa.bindparam("max_count")).subquery()
    on_page = matching.offset(sa.bindparam("skip")).limit(sa.bindparam("limit")).subquery()
    return (
        compiled(sa.select(sa.func.count().label("count")).select_from(counted)),
        compiled(
            sa.select(*POLL)
            .join_from(question, choice)
            .outerjoin(poll_settings, poll_settings.c.question_id == question.c.id)
            .join(on_page, on_page.c.id == question.c.id)
            .order_by(*newest_first, choice.c.position, choice.c.id)
        ),
    )
