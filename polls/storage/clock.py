"""The database's clock, which opens and closes polls."""

from datetime import datetime

import sqlalchemy as sa

from polls.storage.postgres.pool import Database, acquired


async def now(database: Database) -> datetime:
    """Return the database's time, in UTC."""
    async with acquired(database) as connection:
        moment: datetime = await connection.scalar(sa.select(sa.func.now()))
        return moment
