"""Whether a database is fit for votes."""

from polls.storage.engine import Connection, Engine, acquired

# Settings of the server without which a vote that was acknowledged can be lost, and how they must not be.
_WEAK = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


def weaknesses(connection: Connection) -> list[str]:
    """What endangers acknowledged votes in this database, each in a sentence for operators."""
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT name, setting FROM pg_settings WHERE name = ANY (%s) ORDER BY name", (list(_WEAK),))
        return [
            f"{name} is {setting} in PostgreSQL: votes that were counted can be lost when it crashes. Set it to on"
            for name, setting in cursor.fetchall()
            if setting == _WEAK[name]
        ]


async def is_writable(engine: Engine) -> bool:
    """Whether the database takes votes; a standby doesn't. Raises PollsUnavailable."""
    async with acquired(engine) as connection:
        return str(await connection.scalar("SHOW transaction_read_only")) == "off"
