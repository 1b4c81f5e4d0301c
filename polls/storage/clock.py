"""The clock that opens and closes polls: the database's."""

from datetime import datetime

import sqlalchemy as sa

from polls.storage.postgres.pool import Engine, acquired


async def now(engine: Engine) -> datetime:
    """What time it is."""
    async with acquired(engine) as connection:
        moment: datetime = await connection.scalar(sa.select(sa.func.now()))
        return moment
