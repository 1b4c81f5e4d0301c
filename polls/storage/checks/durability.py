"""Server settings that endanger acknowledged votes."""

from polls.storage.postgres.connect import Connection

# Settings of the server without which a vote that was acknowledged can be lost, and how they must not be.
_WEAK = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


def weak_settings(connection: Connection) -> list[str]:
    """What endangers acknowledged votes in this database, each in a sentence for operators."""
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT name, setting FROM pg_settings WHERE name = ANY (%s) ORDER BY name", (list(_WEAK),))
        return [
            f"{name} is {setting} in PostgreSQL: votes that were counted can be lost when it crashes. Set it to on"
            for name, setting in cursor.fetchall()
            if setting == _WEAK[name]
        ]
