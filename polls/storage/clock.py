"""The clock that opens and closes polls: the database's."""

from datetime import datetime

import sqlalchemy as sa

from polls.storage.postgres.pool import Database, acquired


async def now(database: Database) -> datetime:
    """What time it is."""
    async with acquired(database) as connection:
        moment: datetime = await connection.scalar(sa.select(sa.func.now()))
        return moment
