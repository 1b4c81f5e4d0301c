"""The settings of a poll as a row."""

from dataclasses import asdict

import aiopg.sa
from sqlalchemy.dialects import postgresql

from polls.domain.poll import Poll
from polls.domain.settings import DEFAULT_SETTINGS, PollSettings
from polls.storage.tables import poll_settings


async def write_settings(
    connection: aiopg.sa.SAConnection, question_id: int, before: Poll | None, settings: PollSettings
) -> None:
    """Store the settings of a poll. The defaults are stored as no row, unless the row has the owner of the poll."""
    if settings == (before.settings if before else DEFAULT_SETTINGS):
        return
    if settings == DEFAULT_SETTINGS and before and not before.is_asked_by_visitor:
        await connection.execute(poll_settings.delete().where(poll_settings.c.question_id == question_id))
        return
    values = asdict(settings)
    await connection.execute(
        postgresql.insert(poll_settings)
        .values(question_id=question_id, **values)
        .on_conflict_do_update(index_elements=[poll_settings.c.question_id], set_=values)
    )
